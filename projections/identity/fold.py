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
from domain.identity.resolution import (
    LARGE_COMPONENT,
    Component,
    IdentityFact,
    LinkFact,
    MergeFact,
    resolve_facts,
)
from domain.profiles.erasure import ErasureScope
from projections.identity import store
from projections.identity.identity_facts import IdentityFacts, decision_rows, facts_in_batch
from projections.identity.store import MemberRow, Neighbourhood, StreamPair
from projections.identity.tables import large, member
from projections.runtime.batch import Batch

BEFORE_ALL_TIME = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in what the batch says.  A batch that says nothing costs nothing."""
    said = facts_in_batch(batch)
    if not said.streams:
        return
    known = store.neighbourhood(
        tx, batch.workspace, said.streams.values(), include_idle=said.has_unmerges
    )
    store.insert_decisions(tx, batch.workspace, decision_rows(said))
    streams = {it.identifier: it.stream for it in known.members} | said.streams
    decisions = {*known.decisions, *(fact for _, fact in said.decisions)}
    others = decisions | _confirmed_guesses(tx, batch.workspace, known, said)
    _resolve_and_write(
        tx, batch.workspace, known, _ResolutionInput(streams, _earliest_links(known, said), others)
    )


def erase(tx: Connection, forgotten: ErasureScope) -> None:
    """Remove the names of an erased person, and say anew who those are that they were shown with."""
    workspace, gone = forgotten.workspace, set(forgotten.streams)
    known = store.neighbourhood(tx, workspace, forgotten.cleared_streams, include_idle=True)
    store.delete_erased(tx, forgotten)
    left = Neighbourhood(
        known.members, *store.load_links_and_decisions(tx, workspace, known.members)
    )
    streams = {it.identifier: it.stream for it in known.members if it.stream not in gone}
    shown = {pair: at for pair, (at, _) in left.links.items()}
    _resolve_and_write(tx, workspace, left, _ResolutionInput(streams, shown, {*left.decisions}))


class _ResolutionInput(NamedTuple):
    streams: Mapping[Identifier, UUID]
    links: Mapping[StreamPair, datetime]
    decisions: Collection[IdentityFact]


def _resolve_and_write(
    tx: Connection, workspace: int, known: Neighbourhood, facts: _ResolutionInput
) -> None:
    """Resolve what is told, and write what that makes different from what is known."""
    names = {stream: identifier for identifier, stream in facts.streams.items()}
    links = {pair: LinkFact(at, names[pair[0]], names[pair[1]]) for pair, at in facts.links.items()}
    all_facts: set[IdentityFact] = {*links.values(), *facts.decisions}
    components, idle = resolve_facts(all_facts)
    current = {pair: (link.at, link in idle) for pair, link in links.items()}
    changed = {pair: link for pair, link in current.items() if known.links.get(pair) != link}
    store.upsert_links(tx, workspace, changed)
    after = [_member_row(it, component, facts.streams) for it, component in components.items()]
    _write_members(tx, workspace, known.members, after)


def _earliest_links(known: Neighbourhood, facts: IdentityFacts) -> Mapping[StreamPair, datetime]:
    shown = {pair: at for pair, (at, _) in known.links.items()}
    for pair, at in facts.links.items():
        shown[pair] = min(at, shown.get(pair, at))
    return shown


def _confirmed_guesses(
    tx: Connection, workspace: int, known: Neighbourhood, facts: IdentityFacts
) -> set[IdentityFact]:
    """Return that names exist which an alias guesses, where it may be that only idle links have shown so."""
    exist = {it.identifier for it in known.members if not it.guessed}
    before = {it.secondary for it in known.decisions if _is_guess(it)} & exist
    # Of a name that nothing had guessed, its row does not tell whether anything has shown it.
    new = {it.secondary for _, it in facts.decisions if _is_guess(it)} & exist
    shown = store.linked_streams(tx, workspace, [facts.streams[it] for it in new])
    sure = before | {it for it in new if facts.streams[it] in shown}
    return {LinkFact(BEFORE_ALL_TIME, it, it) for it in sure}


def _is_guess(fact: IdentityFact) -> TypeGuard[MergeFact]:
    return isinstance(fact, MergeFact) and not fact.certain


def _member_row(
    identifier: Identifier, component: Component, streams: Mapping[Identifier, UUID]
) -> MemberRow:
    return MemberRow(
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


def _write_members(
    tx: Connection, workspace: int, before: Collection[MemberRow], after: Collection[MemberRow]
) -> None:
    known = set(before)
    store.execute_json_rows(
        tx, _PUT_MEMBERS, workspace, MemberRow._fields, (it for it in after if it not in known)
    )
    gone = {it.stream for it in before} - {it.stream for it in after}
    if gone:
        tx.execute(_DROP_MEMBERS, {"workspace": workspace, "gone": sorted(gone)})
    _track_large_profiles(tx, workspace, _sizes(before), _sizes(after))


def _sizes(members: Iterable[MemberRow]) -> Mapping[UUID, int]:
    counts = Counter(it.person for it in members)
    return {person: count for person, count in counts.items() if count >= LARGE_COMPONENT}


_PUT_LARGE = text(f"""
INSERT INTO {large} SELECT :workspace, person, identifiers
FROM json_to_recordset(:rows) AS new (person uuid, identifiers integer)
ON CONFLICT (workspace, person) DO UPDATE SET identifiers = excluded.identifiers
""")

_DROP_LARGE = text(f"DELETE FROM {large} WHERE workspace = :workspace AND person = ANY(:persons)")


def _track_large_profiles(
    tx: Connection, workspace: int, before: Mapping[UUID, int], after: Mapping[UUID, int]
) -> None:
    """Keep count of the persons that are too large to be true, and tell of each new one."""
    grown = sorted((it, count) for it, count in after.items() if before.get(it) != count)
    if grown:
        store.execute_json_rows(tx, _PUT_LARGE, workspace, ("person", "identifiers"), grown)
    gone = sorted(before.keys() - after.keys())
    if gone:
        tx.execute(_DROP_LARGE, {"workspace": workspace, "persons": gone})
    for person, count in grown:
        if person not in before:
            log.warning("large_profile", workspace=workspace, id=str(person), identifiers=count)
