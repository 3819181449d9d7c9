"""What was said about who is who: read from a batch, kept, and found again from any name in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain import repair
from domain.events import IdentifiersLinked, Merged, Unmerged
from domain.identifiers import Identifier
from domain.identity import Absorbed, Fact, Linked, Separated, facts_of, joined, named
from projections.batch import Batch
from projections.identity.tables import decision, link, member


class Member(NamedTuple):
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


class Known(NamedTuple):
    """All that is kept about some streams and whoever they may be joined to."""

    facts: frozenset[Fact]
    members: tuple[Member, ...]


class Said(NamedTuple):
    """What a batch says."""

    facts: frozenset[Fact]
    links: dict[tuple[UUID, UUID], datetime]
    decisions: tuple[tuple[Any, ...], ...]
    """Rows of `decision`, without their workspace."""

    streams: dict[Identifier, UUID]
    """The streams of all who are named."""


_TELLING = (IdentifiersLinked, Merged, Unmerged)


def said_in(batch: Batch) -> Said:
    """Return what the batch's events say.  What names an impossible identifier says nothing."""
    told = [
        (recorded.event.id, fact)
        for recorded in batch.records
        if isinstance(recorded.event, _TELLING)
        for fact in facts_of(recorded.event)
        if _is_storable(fact)
    ]
    names = {identifier for _, fact in told for identifier in named(fact)}
    streams = {it: batch.stream_of(it) for it in names}
    links: dict[tuple[UUID, UUID], datetime] = {}
    decisions: list[tuple[Any, ...]] = []
    for event, fact in told:
        if isinstance(fact, Linked):
            pair = joined(fact)
            if pair is not None:
                left, right = sorted(pair)
                between = streams[left], streams[right]
                links[between] = min(fact.at, links.get(between, fact.at))
        else:
            decisions.extend(_decisions(event, fact, streams))
    return Said(frozenset(fact for _, fact in told), links, tuple(decisions), streams)


def _is_storable(fact: Fact) -> bool:
    return all(repair.text(it.value) == it.value for it in named(fact))


def _decisions(
    event: UUID, fact: Absorbed | Separated, streams: dict[Identifier, UUID]
) -> Iterable[tuple[Any, ...]]:
    if isinstance(fact, Separated):
        subject, joins, policy, certain = fact.identifier, False, "", True
        others: Iterable[Identifier] = sorted(fact.apart_from)
    else:
        subject, joins, policy, certain = fact.primary, True, fact.policy, fact.certain
        # A name that never joins is nobody's: the subject was heard of, no more.
        others = (fact.secondary if joined(fact) else subject,)
    for other in others:
        yield (
            *(streams[subject], streams[other], event, fact.at, joins, policy, certain),
            *(*subject, *other),
        )


_NEAR = text(f"""
WITH RECURSIVE near (of) AS (
    SELECT stream FROM {member} WHERE workspace = :workspace AND stream = ANY(:streams)
    UNION
    SELECT next.of FROM near CROSS JOIN LATERAL (
        SELECT other FROM {link} WHERE workspace = :workspace AND stream = near.of
        UNION ALL SELECT stream FROM {link} WHERE workspace = :workspace AND other = near.of
        UNION ALL SELECT other FROM {decision}
            WHERE workspace = :workspace AND stream = near.of AND joins
        UNION ALL SELECT stream FROM {decision}
            WHERE workspace = :workspace AND other = near.of AND joins
    ) AS next (of)
)
SELECT stream, kind, value, person, guessed, demoted_at AT TIME ZONE 'UTC'
FROM near CROSS JOIN LATERAL (
    SELECT * FROM {member} WHERE workspace = :workspace AND stream = near.of OFFSET 0
) AS known
""")

_LINKS = text(f"""
SELECT stream, other, at AT TIME ZONE 'UTC' FROM {link}
WHERE workspace = :workspace AND stream = ANY(:streams)
""")

_DECISIONS = text(f"""
SELECT at AT TIME ZONE 'UTC', joins, policy, certain, kind, value, other_kind, other_value
FROM {decision} WHERE workspace = :workspace AND stream = ANY(:streams)
""")


def near(tx: Connection, workspace: int, streams: Collection[UUID]) -> Known:
    """Return what is kept of the streams, and of all that facts lead to from there."""
    asked: dict[str, Any] = {"workspace": workspace, "streams": sorted(streams)}
    members = tuple(_member(*row) for row in tx.execute(_NEAR, asked))
    if not members:
        return Known(frozenset(), ())
    names = {it.stream: it.identifier for it in members}
    asked |= {"streams": list(names)}
    links = {
        Linked(at.replace(tzinfo=UTC), names[stream], names[other])
        for stream, other, at in tx.execute(_LINKS, asked)
    }
    decisions = {_fact(*row) for row in tx.execute(_DECISIONS, asked)}
    return Known(frozenset(links | decisions), members)


def _fact(  # noqa: PLR0917 - the columns of a row
    at: datetime, joins: bool, policy: Any, certain: bool, kind: str, value: str, *other: str
) -> Fact:
    at, subject = at.replace(tzinfo=UTC), Identifier(kind, value)
    if joins:
        return Absorbed(at, subject, Identifier(*other), policy, certain)
    return Separated(at, subject, frozenset((Identifier(*other),)))


def _member(  # noqa: PLR0917 - the columns of a row
    stream: UUID, kind: str, value: str, person: UUID, guessed: bool, demoted_at: datetime | None
) -> Member:
    at = None if demoted_at is None else demoted_at.replace(tzinfo=UTC)
    return Member(stream, kind, value, person, guessed, at)


_ADD_LINKS = text(f"""
INSERT INTO {link} AS known
SELECT :workspace, stream, other, at FROM json_to_recordset(:rows)
    AS new (stream uuid, other uuid, at timestamptz)
ON CONFLICT (workspace, stream, other) DO UPDATE SET at = excluded.at WHERE excluded.at < known.at
""")

_ADD_DECISIONS = text(f"""
INSERT INTO {decision}
SELECT :workspace, new.* FROM json_to_recordset(:rows) AS new (
    stream uuid, other uuid, event uuid, at timestamptz, joins boolean, policy text,
    certain boolean, kind text, value text, other_kind text, other_value text
) ON CONFLICT DO NOTHING
""")

_DECISION = [it.name for it in decision.columns][1:]


def add(tx: Connection, workspace: int, said: Said) -> None:
    """Keep what a batch says."""
    if said.links:
        links = sorted((*pair, at) for pair, at in said.links.items())
        write(tx, _ADD_LINKS, workspace, ("stream", "other", "at"), links)
    if said.decisions:
        write(tx, _ADD_DECISIONS, workspace, _DECISION, sorted(said.decisions))


def write(
    tx: Connection,
    statement: TextClause,
    workspace: int,
    columns: Iterable[str],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Run a statement that takes all its rows as one JSON parameter: one plan, whatever the batch."""
    names = tuple(columns)
    document = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows])
    tx.execute(statement, {"workspace": workspace, "rows": document.decode()})
