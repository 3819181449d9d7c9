"""Stored facts about identity, and the search of the facts that are connected with a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
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
"""When the streams of each pair were first linked, and whether the link is inactive."""


class LinkScope(Enum):
    """Which links a search of connected identifiers follows."""

    ACTIVE = "active"
    ALL = "all"


class MemberRow(NamedTuple):
    """A row of `member`, without the workspace."""

    stream: UUID
    kind: str
    value: str
    profile_id: UUID
    guessed: bool
    demoted_at: datetime | None

    @property
    def identifier(self) -> Identifier:
        """The identifier that the row is about."""
        return Identifier(self.kind, self.value)


class Neighbourhood(NamedTuple):
    """All stored facts about some streams and the streams that facts connect them with."""

    members: Collection[MemberRow]
    links: Links
    decisions: Collection[MergeFact | UnmergeFact]


_NEIGHBOURS = f"""
    SELECT other FROM {link} WHERE workspace = :workspace AND stream = connected.id {{active}}
    UNION ALL SELECT stream FROM {link} WHERE workspace = :workspace AND other = connected.id {{active}}
    UNION ALL SELECT other FROM {decision}
        WHERE workspace = :workspace AND stream = connected.id AND is_merge
    UNION ALL SELECT stream FROM {decision}
        WHERE workspace = :workspace AND other = connected.id AND is_merge
"""

_NEIGHBOURHOOD_SQL = f"""
WITH RECURSIVE connected (id) AS (
    SELECT stream FROM {member} WHERE workspace = :workspace AND stream = ANY(:streams)
    UNION
    SELECT neighbour.id FROM connected CROSS JOIN LATERAL ({_NEIGHBOURS}) AS neighbour (id)
)
SELECT stream, kind, value, profile_id, guessed, demoted_at AT TIME ZONE 'UTC'
FROM connected CROSS JOIN LATERAL (
    SELECT * FROM {member} WHERE workspace = :workspace AND stream = connected.id OFFSET 0
) AS stored
"""

_LINKS_SQL = f"""
SELECT stream, other, at AT TIME ZONE 'UTC', inactive FROM {link}
WHERE workspace = :workspace AND stream = ANY(:streams) {{active}}
"""

_DECISIONS = text(f"""
SELECT at AT TIME ZONE 'UTC', is_merge, policy, certain, kind, value, other_kind, other_value
FROM {decision} WHERE workspace = :workspace AND stream = ANY(:streams)
""")

_NEIGHBOURHOOD = {
    LinkScope.ACTIVE: text(_NEIGHBOURHOOD_SQL.format(active="AND NOT inactive")),
    LinkScope.ALL: text(_NEIGHBOURHOOD_SQL.format(active="")),
}
_LINKS = {
    LinkScope.ACTIVE: text(_LINKS_SQL.format(active="AND NOT inactive")),
    LinkScope.ALL: text(_LINKS_SQL.format(active="")),
}


def neighbourhood(
    tx: Connection, workspace: int, streams: Iterable[UUID], scope: LinkScope
) -> Neighbourhood:
    """Returns the stored facts about the streams, and about all that facts connect them with.

    Links outside of the scope are neither followed nor returned.
    """
    params = {"workspace": workspace, "streams": list(streams)}
    members = [_member(*row) for row in tx.execute(_NEIGHBOURHOOD[scope], params)]
    return Neighbourhood(members, *load_links_and_decisions(tx, workspace, members, scope))


def load_links_and_decisions(
    tx: Connection, workspace: int, members: Collection[MemberRow], scope: LinkScope
) -> tuple[Links, Collection[MergeFact | UnmergeFact]]:
    """Returns the links between these members, and the decisions about them."""
    if not members:
        return {}, ()
    params = {"workspace": workspace, "streams": [row.stream for row in members]}
    links = {
        (stream, other): (linked_at.replace(tzinfo=UTC), inactive)
        for stream, other, linked_at, inactive in tx.execute(_LINKS[scope], params)
    }
    return links, [_decision(*row) for row in tx.execute(_DECISIONS, params)]


_LINKED_STREAMS = text(f"""
SELECT input.id FROM unnest(CAST(:streams AS uuid[])) AS input (id)
WHERE EXISTS (SELECT FROM {link} WHERE workspace = :workspace AND stream = input.id)
    OR EXISTS (SELECT FROM {link} WHERE workspace = :workspace AND other = input.id)
""")


def linked_streams(tx: Connection, workspace: int, streams: Collection[UUID]) -> Collection[UUID]:
    """Returns those of the streams that have links, inactive ones included."""
    if not streams:
        return ()
    params = {"workspace": workspace, "streams": list(streams)}
    return set(tx.execute(_LINKED_STREAMS, params).scalars())


def _member(  # noqa: PLR0917 - the columns of a row
    stream: UUID,
    kind: str,
    value: str,
    profile_id: UUID,
    guessed: bool,
    demoted_at: datetime | None,
) -> MemberRow:
    demoted_at = None if demoted_at is None else demoted_at.replace(tzinfo=UTC)
    return MemberRow(stream, kind, value, profile_id, guessed, demoted_at)


def _decision(  # noqa: PLR0917 - the columns of a row
    at: datetime, is_merge: bool, policy: Any, certain: bool, kind: str, value: str, *other: str
) -> MergeFact | UnmergeFact:
    at, subject = at.replace(tzinfo=UTC), Identifier(kind, value)
    if is_merge:
        return MergeFact(at, subject, Identifier(*other), policy, certain)
    return UnmergeFact(at, subject, frozenset((Identifier(*other),)))


_UPSERT_LINKS = text(f"""
INSERT INTO {link} AS stored
SELECT :workspace, input.* FROM json_to_recordset(:rows)
    AS input (stream uuid, other uuid, at timestamptz, inactive boolean) ORDER BY stream, other
ON CONFLICT (workspace, stream, other) DO UPDATE SET at = excluded.at, inactive = excluded.inactive
WHERE excluded.at <= stored.at
""")

_INSERT_DECISIONS = text(f"""
INSERT INTO {decision}
SELECT :workspace, input.* FROM json_to_recordset(:rows) AS input (
    stream uuid, other uuid, event uuid, at timestamptz, is_merge boolean, policy text,
    certain boolean, kind text, value text, other_kind text, other_value text
) ORDER BY stream, other, event
ON CONFLICT DO NOTHING
""")

_DECISION_COLUMNS = tuple(column.name for column in decision.columns if column.name != "workspace")


def upsert_links(
    tx: Connection, workspace: int, links: Mapping[StreamPair, tuple[datetime, bool]]
) -> None:
    """Writes links that are new or have changed."""
    rows = [(*pair, linked_at, inactive) for pair, (linked_at, inactive) in links.items()]
    execute_json_rows(tx, _UPSERT_LINKS, workspace, ("stream", "other", "at", "inactive"), rows)


def insert_decisions(tx: Connection, workspace: int, rows: Iterable[tuple[Any, ...]]) -> None:
    """Inserts rows of `decision`, given without the workspace."""
    execute_json_rows(tx, _INSERT_DECISIONS, workspace, _DECISION_COLUMNS, rows)


_DELETE_ERASED = (
    text(f"""
DELETE FROM {link} WHERE workspace = :workspace AND (stream = ANY(:erased) OR other = ANY(:erased))
"""),
    text(f"""
DELETE FROM {decision}
WHERE workspace = :workspace AND (stream = ANY(:cleared) OR other = ANY(:erased))
"""),
)


def delete_erased(tx: Connection, scope: ErasureScope) -> None:
    """Removes facts about erased streams, and the decisions of streams that are applied again."""
    params = {
        "workspace": scope.workspace,
        "erased": list(scope.streams),
        "cleared": list(scope.cleared_streams),
    }
    for statement in _DELETE_ERASED:
        tx.execute(statement, params)


def execute_json_rows(
    tx: Connection,
    statement: TextClause,
    workspace: int,
    columns: tuple[str, ...],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Executes a statement whose rows are one JSON parameter: one plan for batches of any size."""
    document = msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in rows])
    if document != b"[]":
        tx.execute(statement, {"workspace": workspace, "rows": document.decode()})
