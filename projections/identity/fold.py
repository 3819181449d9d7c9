"""Applies links, merges and unmerges to the profiles, including those that arrive late.

A fact can only change the profiles of the identifiers that facts connect it with.  So these are loaded
and resolved again together with the new facts, and the rows that differ are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple, TypeGuard
from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from domain.core.identifiers import Identifier
from domain.identity.facts import IdentityFact, LinkFact, MergeFact, identifiers_in
from domain.identity.resolution import LARGE_COMPONENT, Component, resolve_facts
from domain.profiles.erasure import ErasureScope
from projections.identity import store
from projections.identity.identity_facts import IdentityFacts, decision_rows, facts_in_batch
from projections.identity.link_limits import LimitedLinks, limit_links, refill_claims
from projections.identity.store import Links, LinkScope, MemberRow, Neighbourhood
from projections.identity.tables import large_profile, member
from projections.runtime.batch import Batch

BEFORE_ALL_TIME = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


def apply(tx: Connection, batch: Batch) -> None:
    """Applies the batch's identity events.  A batch without any costs no query."""
    facts = facts_in_batch(batch)
    if not facts.streams:
        return
    scope = LinkScope.COUNTING if facts.has_unmerges else LinkScope.ACTIVE
    limited = limit_links(tx, batch.workspace, facts.links, facts.streams)
    affected = _affected_streams(facts, limited.links)
    stored = _load_affected(tx, batch.workspace, affected, limited, scope)
    store.insert_decisions(tx, batch.workspace, decision_rows(facts))
    streams = {row.identifier: row.stream for row in stored.members}
    streams |= {i: stream for i, stream in facts.streams.items() if stream in affected}
    decisions: set[IdentityFact] = {*stored.decisions, *(fact for _, fact in facts.decisions)}
    decisions |= _confirmed_guesses(tx, batch.workspace, stored, facts)
    capped = {row.stream for row in stored.members if row.capped}.union(limited.capped_streams)
    resolution_input = _ResolutionInput(
        streams, _merge_links(stored.links, limited.links), decisions, capped
    )
    _resolve_and_write(tx, batch.workspace, stored, resolution_input)


def erase(tx: Connection, scope: ErasureScope) -> None:
    """Removes an erased profile's identifiers, and resolves those that were linked with them."""
    workspace, erased = scope.workspace, set(scope.streams)
    holders = refill_claims(tx, workspace, scope.streams)
    linked = store.linked_with(tx, workspace, scope.streams)
    stored = store.neighbourhood(
        tx, workspace, {*scope.cleared_streams, *holders, *linked}, LinkScope.COUNTING
    )
    store.delete_erased(tx, scope)
    remaining = Neighbourhood(
        stored.members,
        *store.load_links_and_decisions(tx, workspace, stored.members, LinkScope.COUNTING),
    )
    streams = {row.identifier: row.stream for row in stored.members if row.stream not in erased}
    capped = {row.stream for row in stored.members if holders.get(row.stream, row.capped)}
    still_linked = store.linked_streams(tx, workspace, [*streams.values()])
    resolution_input = _ResolutionInput(
        streams, remaining.links, {*remaining.decisions}, capped, still_linked
    )
    _resolve_and_write(tx, workspace, remaining, resolution_input)


class _ResolutionInput(NamedTuple):
    streams: Mapping[Identifier, UUID]
    links: Links
    decisions: Collection[IdentityFact]
    capped_streams: Collection[UUID]
    linked_streams: Collection[UUID] = ()
    """Streams that links have, which are not given because they are capped."""


def _affected_streams(facts: IdentityFacts, links: Links) -> set[UUID]:
    """Returns the streams whose profile a batch may change.

    Not those of which all new links are capped: who has 20,000 need not be loaded for one more.
    """
    affected = {
        facts.streams[identifier]
        for _, decision in facts.decisions
        for identifier in identifiers_in(decision)
    }
    for pair, stored in links.items():
        if pair in facts.links:
            counts = zip(pair, stored.counts_for, strict=True)
            affected.update(stream for stream, counts_for in counts if counts_for is not False)
        else:
            affected.update(pair)  # an earlier one has taken its place
    return affected


def _load_affected(
    tx: Connection,
    workspace: int,
    streams: set[UUID],
    limited: LimitedLinks,
    scope: LinkScope,
) -> Neighbourhood:
    """Returns what facts about these streams can concern.

    A member that loses its profile, because its link no longer counts, may join the next that claims it.
    """
    stored = store.neighbourhood(tx, workspace, streams, scope)
    capped = limited.links.keys() & {p for p, known in stored.links.items() if not known.inactive}
    if not any(limited.links[pair].is_capped for pair in capped):
        return stored
    identifiers = {row.stream: row.identifier for row in stored.members}
    remaining = [
        LinkFact(known.at, *(identifiers[stream] for stream in pair))
        for pair, known in stored.links.items()
        if not limited.links.get(pair, known).is_capped
    ]
    existing = [LinkFact(BEFORE_ALL_TIME, i, i) for i in identifiers.values()]
    components = resolve_facts([*existing, *remaining, *stored.decisions]).components
    unclaimed = {
        row.stream
        for row in stored.members
        if all(other.kind != "user_id" for other in components[row.identifier].members)
    }
    links = store.claimants(tx, workspace, unclaimed)
    stored = store.neighbourhood(tx, workspace, streams.union(*links, unclaimed), scope)
    return stored._replace(links={**links, **stored.links})


def _resolve_and_write(
    tx: Connection, workspace: int, stored: Neighbourhood, facts: _ResolutionInput
) -> None:
    """Resolves the facts, and writes the rows that differ from the stored ones."""
    identifiers = {stream: identifier for identifier, stream in facts.streams.items()}
    links = {
        pair: LinkFact(known.at, *(identifiers[stream] for stream in pair))
        for pair, known in facts.links.items()
        if not known.is_capped
    }
    linked = {*facts.linked_streams, *chain.from_iterable(facts.links)}
    existing = {
        LinkFact(BEFORE_ALL_TIME, i, i) for i, stream in facts.streams.items() if stream in linked
    }
    components, inactive = resolve_facts({*links.values(), *existing, *facts.decisions})
    current = {
        pair: known._replace(inactive=known.is_capped or links[pair] in inactive)
        for pair, known in facts.links.items()
    }
    changed = {pair: link for pair, link in current.items() if stored.links.get(pair) != link}
    store.upsert_links(tx, workspace, changed)
    members = [_member_row(i, component, facts) for i, component in components.items()]
    _write_members(tx, workspace, stored.members, members)


def _merge_links(stored: Links, limited: Links) -> Links:
    """Returns the links with the earliest time of each."""
    links = {**stored}
    for pair, added in limited.items():
        links[pair] = added._replace(at=min(added.at, links.get(pair, added).at))
    return links


def _confirmed_guesses(
    tx: Connection, workspace: int, stored: Neighbourhood, facts: IdentityFacts
) -> set[IdentityFact]:
    """Returns facts that confirm the identifiers which an alias only guessed.

    They are needed where the confirming link may be inactive, and so was not loaded.
    """
    existing = {row.identifier for row in stored.members if not row.guessed}
    confirmed = {fact.secondary for fact in stored.decisions if _is_guess(fact)} & existing
    # The row of an identifier that was never guessed does not say whether a link has confirmed it.
    new = {fact.secondary for _, fact in facts.decisions if _is_guess(fact)} & existing
    linked = store.linked_streams(tx, workspace, [facts.streams[i] for i in new])
    confirmed |= {i for i in new if facts.streams[i] in linked}
    return {LinkFact(BEFORE_ALL_TIME, i, i) for i in confirmed}


def _is_guess(fact: IdentityFact) -> TypeGuard[MergeFact]:
    return isinstance(fact, MergeFact) and not fact.certain


def _member_row(identifier: Identifier, component: Component, facts: _ResolutionInput) -> MemberRow:
    stream = facts.streams[identifier]
    return MemberRow(
        stream,
        *identifier,
        profile_id=facts.streams[component.canonical],
        guessed=identifier in component.guessed,
        demoted_at=component.demoted.get(identifier),
        capped=stream in facts.capped_streams,
    )


_UPSERT_MEMBERS = text(f"""
INSERT INTO {member}
SELECT :workspace, input.* FROM json_to_recordset(:rows) AS input (
    stream uuid, kind text, value text, profile_id uuid, guessed boolean, demoted_at timestamptz,
    capped boolean
) ORDER BY stream
ON CONFLICT (workspace, stream) DO UPDATE SET profile_id = excluded.profile_id,
    guessed = excluded.guessed, demoted_at = excluded.demoted_at, capped = excluded.capped
""")


_DELETE_MEMBERS = text(
    f"DELETE FROM {member} WHERE workspace = :workspace AND stream = ANY(:streams)"
)


def _write_members(
    tx: Connection, workspace: int, before: Collection[MemberRow], after: Collection[MemberRow]
) -> None:
    unchanged = set(before)
    changed = (row for row in after if row not in unchanged)
    store.execute_json_rows(tx, _UPSERT_MEMBERS, workspace, MemberRow._fields, changed)
    removed = {row.stream for row in before} - {row.stream for row in after}
    if removed:
        tx.execute(_DELETE_MEMBERS, {"workspace": workspace, "streams": sorted(removed)})
    _update_large_profiles(tx, workspace, _large_sizes(before), _large_sizes(after))


def _large_sizes(members: Iterable[MemberRow]) -> Mapping[UUID, int]:
    counts = Counter(row.profile_id for row in members)
    return {id_: count for id_, count in counts.items() if count >= LARGE_COMPONENT}


_UPSERT_LARGE_PROFILES = text(f"""
INSERT INTO {large_profile} SELECT :workspace, profile_id, identifiers
FROM json_to_recordset(:rows) AS input (profile_id uuid, identifiers integer)
ON CONFLICT (workspace, profile_id) DO UPDATE SET identifiers = excluded.identifiers
""")

_DELETE_LARGE_PROFILES = text(
    f"DELETE FROM {large_profile} WHERE workspace = :workspace AND profile_id = ANY(:profile_ids)"
)


def _update_large_profiles(
    tx: Connection, workspace: int, before: Mapping[UUID, int], after: Mapping[UUID, int]
) -> None:
    """Writes the sizes of profiles that are too large to be one profile, and logs each new one."""
    changed = sorted((id_, count) for id_, count in after.items() if before.get(id_) != count)
    if changed:
        store.execute_json_rows(
            tx, _UPSERT_LARGE_PROFILES, workspace, ("profile_id", "identifiers"), changed
        )
    removed = sorted(before.keys() - after.keys())
    if removed:
        tx.execute(_DELETE_LARGE_PROFILES, {"workspace": workspace, "profile_ids": removed})
    for profile_id, count in changed:
        if profile_id not in before:
            log.warning("large_profile", workspace=workspace, id=str(profile_id), identifiers=count)
