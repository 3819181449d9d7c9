"""How what a batch says about identifiers becomes persons, late facts included.

A fact can only change who is who among the names that facts connect it with.  So those are loaded,
resolved anew together with what was said, and what came out differently is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeGuard
from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from domain.core.identifiers import Identifier
from domain.identity.resolution import LARGE, Absorbed, Component, Fact, Linked, resolution
from domain.profiles.erasure import Forgotten
from projections.identity import store
from projections.identity.identity_facts import Said, rows, said_in
from projections.identity.store import Known, Member, Pair
from projections.identity.tables import large, member
from projections.runtime.batch import Batch

NEVER = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in what the batch says.  A batch that says nothing costs nothing."""
    said = said_in(batch)
    if not said.streams:
        return
    known = store.near(tx, batch.workspace, said.streams.values(), whole=said.parts)
    store.put_decisions(tx, batch.workspace, rows(said))
    streams = {it.identifier: it.stream for it in known.members} | said.streams
    decisions = {*known.decisions, *(fact for _, fact in said.decisions)}
    others = decisions | _attested(tx, batch.workspace, known, said)
    _settle(tx, batch.workspace, known, _Facts(streams, _earliest(known, said), others))


def forget(tx: Connection, forgotten: Forgotten) -> None:
    """Remove the names of an erased person, and say anew who those are that they were shown with."""
    workspace, gone = forgotten.workspace, set(forgotten.streams)
    known = store.near(tx, workspace, forgotten.cleared, whole=True)
    store.drop(tx, forgotten)
    left = Known(known.members, *store.kept(tx, workspace, known.members))
    streams = {it.identifier: it.stream for it in known.members if it.stream not in gone}
    shown = {pair: at for pair, (at, _) in left.links.items()}
    _settle(tx, workspace, left, _Facts(streams, shown, {*left.decisions}))


class _Facts(NamedTuple):
    streams: Mapping[Identifier, UUID]
    shown: Mapping[Pair, datetime]
    others: Collection[Fact]


def _settle(tx: Connection, workspace: int, known: Known, told: _Facts) -> None:
    """Resolve what is told, and write what that makes different from what is known."""
    names = {stream: identifier for identifier, stream in told.streams.items()}
    links = {pair: Linked(at, names[pair[0]], names[pair[1]]) for pair, at in told.shown.items()}
    said: set[Fact] = {*links.values(), *told.others}
    components, idle = resolution(said)
    now = {pair: (link.at, link in idle) for pair, link in links.items()}
    changed = {pair: link for pair, link in now.items() if known.links.get(pair) != link}
    store.put_links(tx, workspace, changed)
    after = [_member(it, component, told.streams) for it, component in components.items()]
    _write(tx, workspace, known.members, after)


def _earliest(known: Known, said: Said) -> Mapping[Pair, datetime]:
    shown = {pair: at for pair, (at, _) in known.links.items()}
    for pair, at in said.links.items():
        shown[pair] = min(at, shown.get(pair, at))
    return shown


def _attested(tx: Connection, workspace: int, known: Known, said: Said) -> set[Fact]:
    """Return that names exist which an alias guesses, where it may be that only idle links have shown so."""
    exist = {it.identifier for it in known.members if not it.guessed}
    before = {it.secondary for it in known.decisions if _is_guess(it)} & exist
    # Of a name that nothing had guessed, its row does not tell whether anything has shown it.
    new = {it.secondary for _, it in said.decisions if _is_guess(it)} & exist
    shown = store.shown(tx, workspace, [said.streams[it] for it in new])
    sure = before | {it for it in new if said.streams[it] in shown}
    return {Linked(NEVER, it, it) for it in sure}


def _is_guess(fact: Fact) -> TypeGuard[Absorbed]:
    return isinstance(fact, Absorbed) and not fact.certain


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
) ORDER BY stream
ON CONFLICT (workspace, stream) DO UPDATE
SET person = excluded.person, guessed = excluded.guessed, demoted_at = excluded.demoted_at
""")


_DROP_MEMBERS = text(f"DELETE FROM {member} WHERE workspace = :workspace AND stream = ANY(:gone)")


def _write(
    tx: Connection, workspace: int, before: Collection[Member], after: Collection[Member]
) -> None:
    known = set(before)
    store.write(
        tx, _PUT_MEMBERS, workspace, Member._fields, (it for it in after if it not in known)
    )
    gone = {it.stream for it in before} - {it.stream for it in after}
    if gone:
        tx.execute(_DROP_MEMBERS, {"workspace": workspace, "gone": sorted(gone)})
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
        store.write(tx, _PUT_LARGE, workspace, ("person", "identifiers"), grown)
    gone = sorted(before.keys() - after.keys())
    if gone:
        tx.execute(_DROP_LARGE, {"workspace": workspace, "persons": gone})
    for person, count in grown:
        if person not in before:
            log.warning("large_profile", workspace=workspace, id=str(person), identifiers=count)
