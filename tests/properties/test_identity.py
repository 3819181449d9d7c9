"""Resolution is a function of the set of facts: order and repeats do not matter."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from domain.identity.claims import MAX_CLAIMS
from domain.identity.facts import IdentityFact, LinkFact, MergeFact, UnmergeFact
from domain.identity.incremental import IncrementalResolver, ResolvedIdentifier
from domain.identity.resolution import resolve_components, resolve_facts
from tests.builders import NOON

identifiers = st.builds(
    Identifier,
    st.sampled_from(["user_id", "email", "anonymous_id"]),
    st.sampled_from(["a", "b", "c", "null"]),
)
instants = st.integers(0, 6).map(lambda minutes: NOON + timedelta(minutes=minutes))
facts = st.lists(
    st.one_of(
        st.builds(LinkFact, instants, identifiers, identifiers),
        st.builds(
            MergeFact,
            instants,
            identifiers,
            identifiers,
            st.sampled_from(["latest", "primary"]),
            st.booleans(),
        ),
        st.builds(UnmergeFact, instants, identifiers, st.frozensets(identifiers, max_size=3)),
    ),
    max_size=12,
)

max_claims = st.sampled_from([1, 2, 3, MAX_CLAIMS])


@given(facts, st.randoms(), max_claims)
def test_order_and_repeats_do_not_matter(history: list[IdentityFact], chance, limit: int) -> None:
    repeated = history + [fact for fact in history if chance.random() < 0.5]
    chance.shuffle(repeated)
    assert resolve_components(repeated, limit) == resolve_components(history, limit)


@given(facts)
def test_it_is_a_partition_with_a_canonical_member(history: list[IdentityFact]) -> None:
    components = resolve_components(history)
    for identifier, component in components.items():
        assert identifier in component.members
        assert component.canonical in component.members
        assert all(components[member] == component for member in component.members)


@given(facts)
def test_two_user_ids_share_a_profile_only_through_merges(history: list[IdentityFact]) -> None:
    merges = [fact for fact in history if not isinstance(fact, LinkFact)]
    by_merges = resolve_components(merges)
    for identifier, component in resolve_components(history).items():
        for other in component.members:
            if identifier.kind == other.kind == "user_id" and identifier != other:
                joined = {identifier} | set().union(
                    *(c.members for c in by_merges.values() if identifier in c.members)
                )
                weak = {member for member in component.members if member.kind != "user_id"}
                assert other in joined or weak


@given(facts, facts)
def test_facts_about_other_identifiers_change_nothing(
    history: list[IdentityFact], others: list[IdentityFact]
) -> None:
    def elsewhere(part):
        if isinstance(part, Identifier):
            return Identifier(part.kind, part.value + "-elsewhere")
        return frozenset(map(elsewhere, part)) if isinstance(part, frozenset) else part

    moved = [type(fact)(*map(elsewhere, fact)) for fact in others]
    together = resolve_components(history + moved)
    assert all(
        together[identifier] == component
        for identifier, component in resolve_components(history).items()
    )


@given(facts, facts)
def test_an_inactive_link_changes_nothing_whatever_links_and_merges_follow(
    history: list[IdentityFact], more: list[IdentityFact]
) -> None:
    inactive = resolve_facts(history).inactive_links
    later = [fact for fact in more if not isinstance(fact, UnmergeFact)]
    active = [fact for fact in history if fact not in inactive]
    existence = [LinkFact(NOON, id_, id_) for link in inactive for id_ in (link.left, link.right)]
    assert resolve_components(active + existence + later) == resolve_components(history + later)


@given(facts, st.lists(st.integers(1, 3), max_size=40), max_claims)
def test_incremental_resolution_equals_the_resolution_of_all_facts(
    history: list[IdentityFact], batch_sizes: list[int], limit: int
) -> None:
    start = batch_sizes.pop() if batch_sizes else 0
    resolver = IncrementalResolver(history[:start], limit)
    resolved = resolved_identifiers(history[:start], limit)
    assert resolver.resolved() == resolved
    while start < len(history):
        end = start + (batch_sizes.pop() if batch_sizes else 1)
        before, changed = resolved, resolver.add_facts(history[start:end])
        resolved = resolved_identifiers(history[:end], limit)
        assert resolver.resolved() == resolved
        assert changed == {
            identifier: resolved
            for identifier, resolved in resolved.items()
            if resolved != before.get(identifier)
        }
        start = end


def resolved_identifiers(
    history: list[IdentityFact], limit: int
) -> dict[Identifier, ResolvedIdentifier]:
    return {
        identifier: ResolvedIdentifier(
            component.canonical,
            identifier in component.guessed,
            component.demoted.get(identifier),
        )
        for identifier, component in resolve_components(history, limit).items()
    }
