"""Stored facts about identity, and the search of the facts that are connected with a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain.core.identifiers import Identifier
from domain.identity.facts import MergeFact, UnmergeFact
from domain.profiles.erasure import ErasureScope
from projections.identity.tables import decision, link, member

StreamPair = tuple[UUID, UUID]


class StoredLink(NamedTuple):
    """A row of `link`, without the workspace and the streams."""

    at: datetime
    inactive: bool
    counts_for_stream: bool | None
    counts_for_other: bool | None

    @property
    def counts_for(self) -> tuple[bool | None, bool | None]:
        """Whether it is among the first claims of each of the two; None where it is no claim."""
        return self.counts_for_stream, self.counts_for_other

    def beyond_limit_of(self, side: int) -> StoredLink:
        """Returns the link as one that no longer counts for the stream (0) or the other (1)."""
        at, _, *counts = self
        counts[side] = False
        return StoredLink(at, True, *counts)

    @property
    def is_capped(self) -> bool:
        """Whether it is beyond the first claims of one of the two."""
        return False in self.counts_for


Links = Mapping[StreamPair, StoredLink]


class LinkScope(Enum):
    """Which links a search of connected identifiers follows: the SQL of the condition."""

    ACTIVE = "AND NOT inactive"
    COUNTING = "AND (counts_for_stream AND counts_for_other) IS NOT FALSE"
    """Inactive links, too, but none that is capped."""


class MemberRow(NamedTuple):
    """A row of `member`, without the workspace."""

    stream: UUID
    kind: str
    value: str
    profile_id: UUID
    guessed: bool
    demoted_at: datetime | None
    capped: bool

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
    SELECT other FROM {link} WHERE workspace = :workspace AND stream = connected.id {{scope}}
    UNION ALL SELECT stream FROM {link} WHERE workspace = :workspace AND other = connected.id {{scope}}
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
SELECT stream, kind, value, profile_id, guessed, demoted_at AT TIME ZONE 'UTC', capped
FROM connected CROSS JOIN LATERAL (
    SELECT * FROM {member} WHERE workspace = :workspace AND stream = connected.id OFFSET 0
) AS stored
"""

LINK_COLUMNS = "stream, other, at AT TIME ZONE 'UTC', inactive, counts_for_stream, counts_for_other"

_LINKS_SQL = f"""
SELECT {LINK_COLUMNS} FROM {link}
WHERE workspace = :workspace AND stream = ANY(:streams) {{scope}}
"""

_CLAIMANTS = text(f"""
SELECT {LINK_COLUMNS} FROM {link}
WHERE workspace = :workspace AND (stream = ANY(:streams) OR other = ANY(:streams))
    {LinkScope.COUNTING.value}
""")

_DECISIONS = text(f"""
SELECT at AT TIME ZONE 'UTC', is_merge, policy, certain, kind, value, other_kind, other_value
FROM {decision} WHERE workspace = :workspace AND stream = ANY(:streams)
""")

_NEIGHBOURHOOD = {scope: text(_NEIGHBOURHOOD_SQL.format(scope=scope.value)) for scope in LinkScope}
_LINKS = {scope: text(_LINKS_SQL.format(scope=scope.value)) for scope in LinkScope}


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
    links = links_in(tx.execute(_LINKS[scope], params))
    return links, [_decision(*row) for row in tx.execute(_DECISIONS, params)]


def claimants(tx: Connection, workspace: int, streams: Iterable[UUID]) -> Links:
    """Returns the links that may join one of the streams to anything, inactive ones included."""
    return links_in(tx.execute(_CLAIMANTS, {"workspace": workspace, "streams": list(streams)}))


def links_in(rows: Iterable[Sequence[Any]]) -> dict[StreamPair, StoredLink]:
    """Returns the links in rows of `LINK_COLUMNS`."""
    return {
        (stream, other): StoredLink(linked_at.replace(tzinfo=UTC), *flags)
        for stream, other, linked_at, *flags in rows
    }


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


_LINKED_WITH = text(f"""
SELECT other FROM {link} WHERE workspace = :workspace AND stream = ANY(:streams)
UNION SELECT stream FROM {link} WHERE workspace = :workspace AND other = ANY(:streams)
""")


def linked_with(tx: Connection, workspace: int, streams: Collection[UUID]) -> Collection[UUID]:
    """Returns the streams that links connect these with, capped links included."""
    params = {"workspace": workspace, "streams": list(streams)}
    return tx.execute(_LINKED_WITH, params).scalars().all()


def _member(  # noqa: PLR0917 - the columns of a row
    stream: UUID,
    kind: str,
    value: str,
    profile_id: UUID,
    guessed: bool,
    demoted_at: datetime | None,
    capped: bool,
) -> MemberRow:
    demoted_at = None if demoted_at is None else demoted_at.replace(tzinfo=UTC)
    return MemberRow(stream, kind, value, profile_id, guessed, demoted_at, capped)


def _decision(  # noqa: PLR0917 - the columns of a row
    at: datetime, is_merge: bool, policy: Any, certain: bool, kind: str, value: str, *other: str
) -> MergeFact | UnmergeFact:
    at, subject = at.replace(tzinfo=UTC), Identifier(kind, value)
    if is_merge:
        return MergeFact(at, subject, Identifier(*other), policy, certain)
    return UnmergeFact(at, subject, frozenset((Identifier(*other),)))


_UPSERT_LINKS = text(f"""
INSERT INTO {link} AS stored
SELECT :workspace, input.* FROM json_to_recordset(:rows) AS input (
    stream uuid, other uuid, at timestamptz, inactive boolean, counts_for_stream boolean,
    counts_for_other boolean
) ORDER BY stream, other
ON CONFLICT (workspace, stream, other) DO UPDATE SET at = excluded.at, inactive = excluded.inactive,
    counts_for_stream = excluded.counts_for_stream, counts_for_other = excluded.counts_for_other
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


def upsert_links(tx: Connection, workspace: int, links: Links) -> None:
    """Writes links that are new or have changed."""
    rows = [(*pair, *stored) for pair, stored in links.items()]
    execute_json_rows(tx, _UPSERT_LINKS, workspace, ("stream", "other", *StoredLink._fields), rows)


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
