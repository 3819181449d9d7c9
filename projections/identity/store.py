"""What was said about who is who: kept, and found again from any name in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain.core.identifiers import Identifier
from domain.identity.resolution import MergeFact, UnmergeFact
from domain.profiles.erasure import ErasureScope
from projections.identity.tables import decision, link, member

StreamPair = tuple[UUID, UUID]
Links = Mapping[StreamPair, tuple[datetime, bool]]
"""When each was first shown, and whether it is idle."""


class MemberRow(NamedTuple):
    """A row of `member`, without its workspace."""

    stream: UUID
    kind: str
    value: str
    person: UUID
    guessed: bool
    demoted_at: datetime | None

    @property
    def identifier(self) -> Identifier:
        """The name that the row is of."""
        return Identifier(self.kind, self.value)


class Neighbourhood(NamedTuple):
    """All that is kept about some streams and whoever they may be joined to."""

    members: Collection[MemberRow]
    links: Links
    decisions: Collection[MergeFact | UnmergeFact]


_NEIGHBOURS = f"""
    SELECT other FROM {link} WHERE workspace = :workspace AND stream = near.of {{awake}}
    UNION ALL SELECT stream FROM {link} WHERE workspace = :workspace AND other = near.of {{awake}}
    UNION ALL SELECT other FROM {decision} WHERE workspace = :workspace AND stream = near.of AND joins
    UNION ALL SELECT stream FROM {decision} WHERE workspace = :workspace AND other = near.of AND joins
"""

_NEIGHBOURHOOD_SQL = f"""
WITH RECURSIVE near (of) AS (
    SELECT stream FROM {member} WHERE workspace = :workspace AND stream = ANY(:streams)
    UNION
    SELECT next.of FROM near CROSS JOIN LATERAL ({_NEIGHBOURS}) AS next (of)
)
SELECT stream, kind, value, person, guessed, demoted_at AT TIME ZONE 'UTC'
FROM near CROSS JOIN LATERAL (
    SELECT * FROM {member} WHERE workspace = :workspace AND stream = near.of OFFSET 0
) AS known
"""

_LINKS_SQL = f"""
SELECT stream, other, at AT TIME ZONE 'UTC', idle FROM {link}
WHERE workspace = :workspace AND stream = ANY(:streams) {{awake}}
"""

_DECISIONS = text(f"""
SELECT at AT TIME ZONE 'UTC', joins, policy, certain, kind, value, other_kind, other_value
FROM {decision} WHERE workspace = :workspace AND stream = ANY(:streams)
""")

_NEIGHBOURHOOD = {
    False: text(_NEIGHBOURHOOD_SQL.format(awake="AND NOT idle")),
    True: text(_NEIGHBOURHOOD_SQL.format(awake="")),
}
_LINKS = {
    False: text(_LINKS_SQL.format(awake="AND NOT idle")),
    True: text(_LINKS_SQL.format(awake="")),
}


def neighbourhood(
    tx: Connection, workspace: int, streams: Iterable[UUID], *, include_idle: bool
) -> Neighbourhood:
    """Return what is kept of the streams, and of all that facts lead to from there.

    Idle links lead nowhere, and are left out, unless the ``whole`` is asked for.
    """
    asked = {"workspace": workspace, "streams": list(streams)}
    members = [_member(*row) for row in tx.execute(_NEIGHBOURHOOD[include_idle], asked)]
    return Neighbourhood(
        members, *load_links_and_decisions(tx, workspace, members, include_idle=include_idle)
    )


def load_links_and_decisions(
    tx: Connection, workspace: int, members: Collection[MemberRow], *, include_idle: bool = True
) -> tuple[Links, Collection[MergeFact | UnmergeFact]]:
    """Return the links between these members, and the decisions about them."""
    if not members:
        return {}, ()
    asked = {"workspace": workspace, "streams": [it.stream for it in members]}
    links = {
        (stream, other): (at.replace(tzinfo=UTC), idle)
        for stream, other, at, idle in tx.execute(_LINKS[include_idle], asked)
    }
    return links, [_decision(*row) for row in tx.execute(_DECISIONS, asked)]


_LINKED_STREAMS = text(f"""
SELECT it FROM unnest(CAST(:streams AS uuid[])) AS it
WHERE EXISTS (SELECT FROM {link} WHERE workspace = :workspace AND stream = it)
    OR EXISTS (SELECT FROM {link} WHERE workspace = :workspace AND other = it)
""")


def linked_streams(tx: Connection, workspace: int, streams: Collection[UUID]) -> Collection[UUID]:
    """Return those of the streams that were shown with another, idle links included."""
    if not streams:
        return ()
    asked = {"workspace": workspace, "streams": list(streams)}
    return set(tx.execute(_LINKED_STREAMS, asked).scalars())


def _member(  # noqa: PLR0917 - the columns of a row
    stream: UUID, kind: str, value: str, person: UUID, guessed: bool, demoted_at: datetime | None
) -> MemberRow:
    at = None if demoted_at is None else demoted_at.replace(tzinfo=UTC)
    return MemberRow(stream, kind, value, person, guessed, at)


def _decision(  # noqa: PLR0917 - the columns of a row
    at: datetime, joins: bool, policy: Any, certain: bool, kind: str, value: str, *other: str
) -> MergeFact | UnmergeFact:
    at, subject = at.replace(tzinfo=UTC), Identifier(kind, value)
    if joins:
        return MergeFact(at, subject, Identifier(*other), policy, certain)
    return UnmergeFact(at, subject, frozenset((Identifier(*other),)))


_PUT_LINKS = text(f"""
INSERT INTO {link} AS known
SELECT :workspace, new.* FROM json_to_recordset(:rows)
    AS new (stream uuid, other uuid, at timestamptz, idle boolean) ORDER BY stream, other
ON CONFLICT (workspace, stream, other) DO UPDATE SET at = excluded.at, idle = excluded.idle
WHERE excluded.at <= known.at
""")

_PUT_DECISIONS = text(f"""
INSERT INTO {decision}
SELECT :workspace, new.* FROM json_to_recordset(:rows) AS new (
    stream uuid, other uuid, event uuid, at timestamptz, joins boolean, policy text,
    certain boolean, kind text, value text, other_kind text, other_value text
) ORDER BY stream, other, event
ON CONFLICT DO NOTHING
""")

_DECISION = tuple(it.name for it in decision.columns)[1:]


def upsert_links(
    tx: Connection, workspace: int, links: Mapping[StreamPair, tuple[datetime, bool]]
) -> None:
    """Keep links that are new, or other than they were."""
    rows = [(*pair, *told) for pair, told in links.items()]
    execute_json_rows(tx, _PUT_LINKS, workspace, ("stream", "other", "at", "idle"), rows)


def insert_decisions(tx: Connection, workspace: int, rows: Iterable[tuple[Any, ...]]) -> None:
    """Keep rows of `decision`, given without their workspace."""
    execute_json_rows(tx, _PUT_DECISIONS, workspace, _DECISION, rows)


_DELETE_ERASED = (
    text(f"""
DELETE FROM {link} WHERE workspace = :workspace AND (stream = ANY(:gone) OR other = ANY(:gone))
"""),
    text(f"""
DELETE FROM {decision}
WHERE workspace = :workspace AND (stream = ANY(:cleared) OR other = ANY(:gone))
"""),
)


def delete_erased(tx: Connection, forgotten: ErasureScope) -> None:
    """Remove what names an erased person, and the decisions of streams that are given anew."""
    asked = {
        "workspace": forgotten.workspace,
        "gone": list(forgotten.streams),
        "cleared": list(forgotten.cleared_streams),
    }
    for statement in _DELETE_ERASED:
        tx.execute(statement, asked)


def execute_json_rows(
    tx: Connection,
    statement: TextClause,
    workspace: int,
    columns: tuple[str, ...],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Run a statement that takes all its rows as one JSON parameter: one plan, whatever the batch."""
    document = msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in rows])
    if document != b"[]":
        tx.execute(statement, {"workspace": workspace, "rows": document.decode()})
