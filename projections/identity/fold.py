"""How what a batch says about identifiers becomes persons, late facts included.

A fact can only change who is who among the names that facts connect it with.  So those are loaded,
resolved anew together with what was said, and what came out differently is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from domain.identifiers import Identifier
from domain.identity import LARGE, Component, Fact, joined, named, resolve
from projections.batch import Batch
from projections.identity import facts
from projections.identity.facts import Member
from projections.identity.tables import large, member

log = structlog.get_logger(__name__)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in what the batch says.  A batch that says nothing costs nothing."""
    said = facts.said_in(batch)
    if not said.facts:
        return
    known = facts.near(tx, batch.workspace, set(said.streams.values()))
    facts.add(tx, batch.workspace, said)
    streams = {it.identifier: it.stream for it in known.members} | said.streams
    after = _members(known.facts | said.facts, streams)
    _write(tx, batch.workspace, known.members, after)


def _members(said: Collection[Fact], streams: Mapping[Identifier, UUID]) -> list[Member]:
    components = resolve(said)
    return [
        _member(identifier, components[identifier], streams)
        for identifier in {it for fact in said for it in _heard_of(fact)}
    ]


def _heard_of(fact: Fact) -> Iterable[Identifier]:
    """Return whom a fact is about: not those whom somebody is only kept apart from."""
    return joined(fact) or named(fact)[:1]


def _member(
    identifier: Identifier, component: Component, streams: Mapping[Identifier, UUID]
) -> Member:
    return Member(
        streams[identifier],
        *identifier,
        person=streams[component.canonical],
        guessed=identifier in component.guessed,
        demoted_at=component.demoted.get(identifier),
    )


_PUT_MEMBERS = text(f"""
INSERT INTO {member} AS known
SELECT :workspace, new.* FROM json_to_recordset(:rows) AS new (
    stream uuid, kind text, value text, person uuid, guessed boolean, demoted_at timestamptz
)
ON CONFLICT (workspace, stream) DO UPDATE
SET person = excluded.person, guessed = excluded.guessed, demoted_at = excluded.demoted_at
""")


def _write(
    tx: Connection, workspace: int, before: Collection[Member], after: Iterable[Member]
) -> None:
    known = set(before)
    changed = sorted(it for it in after if it not in known)
    if not changed:
        return
    facts.write(tx, _PUT_MEMBERS, workspace, Member._fields, changed)
    _watch_sizes(tx, workspace, _sizes(before), _sizes(after))


def _sizes(members: Iterable[Member]) -> Mapping[UUID, int]:
    counts = Counter(it.person for it in members)
    return {person: count for person, count in counts.items() if count >= LARGE}


_PUT_LARGE = text(f"""
INSERT INTO {large} SELECT :workspace, person, identifiers
FROM json_to_recordset(:rows) AS new (person uuid, identifiers integer)
ON CONFLICT (workspace, person) DO UPDATE SET identifiers = excluded.identifiers
""")

_DROP_LARGE = text(f"DELETE FROM {large} WHERE workspace = :workspace AND person = ANY(:persons)")


def _watch_sizes(
    tx: Connection, workspace: int, before: Mapping[UUID, int], after: Mapping[UUID, int]
) -> None:
    """Keep count of the persons that are too large to be true, and tell of each new one."""
    grown = sorted((it, count) for it, count in after.items() if before.get(it) != count)
    if grown:
        facts.write(tx, _PUT_LARGE, workspace, ("person", "identifiers"), grown)
    gone = sorted(before.keys() - after.keys())
    if gone:
        tx.execute(_DROP_LARGE, {"workspace": workspace, "persons": gone})
    for person, count in grown:
        if person not in before:
            log.warning("large_profile", workspace=workspace, id=str(person), identifiers=count)
