"""Resolution is a function of the set of facts: order and repeats do not matter, and facts far away neither."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from domain.identity.incremental import IncrementalResolver
from domain.identity.resolution import (
    IdentityFact,
    LinkFact,
    MergeFact,
    UnmergeFact,
    resolve_components,
    resolve_facts,
)
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


@given(facts, st.randoms())
def test_order_and_repeats_do_not_matter(said: list[IdentityFact], chance) -> None:
    again = said + [fact for fact in said if chance.random() < 0.5]
    chance.shuffle(again)
    assert resolve_components(again) == resolve_components(said)


@given(facts)
def test_it_is_a_partition_with_a_member_as_its_name(said: list[IdentityFact]) -> None:
    for identifier, component in resolve_components(said).items():
        assert identifier in component.members
        assert component.canonical in component.members
        assert all(resolve_components(said)[it] == component for it in component.members)


@given(facts)
def test_two_users_share_a_person_only_through_merges(said: list[IdentityFact]) -> None:
    merges = [fact for fact in said if not isinstance(fact, LinkFact)]
    by_merges = resolve_components(merges)
    for identifier, component in resolve_components(said).items():
        for other in component.members:
            if identifier.kind == other.kind == "user_id" and identifier != other:
                joined = {identifier} | set().union(
                    *(c.members for c in by_merges.values() if identifier in c.members)
                )
                weak = {it for it in component.members if it.kind != "user_id"}
                assert other in joined or weak


@given(facts, facts)
def test_facts_about_others_change_nothing(
    said: list[IdentityFact], others: list[IdentityFact]
) -> None:
    def elsewhere(part):
        if isinstance(part, Identifier):
            return Identifier(part.kind, part.value + "-elsewhere")
        return frozenset(map(elsewhere, part)) if isinstance(part, frozenset) else part

    moved = [type(fact)(*map(elsewhere, fact)) for fact in others]
    together = resolve_components(said + moved)
    assert all(
        together[identifier] == component
        for identifier, component in resolve_components(said).items()
    )


@given(facts, facts)
def test_an_idle_link_changes_nothing_whatever_links_and_merges_follow(
    said: list[IdentityFact], more: list[IdentityFact]
) -> None:
    idle = resolve_facts(said).inactive_links
    later = [it for it in more if not isinstance(it, UnmergeFact)]
    awake = [it for it in said if it not in idle]
    heard_of = [LinkFact(NOON, it, it) for link in idle for it in (link.left, link.right)]
    assert resolve_components(awake + heard_of + later) == resolve_components(said + later)


@given(facts, st.lists(st.integers(1, 3), max_size=40))
def test_learning_facts_in_turn_says_of_all_whom_they_concern_what_all_facts_come_to(
    said: list[IdentityFact], at_once: list[int]
) -> None:
    start = at_once.pop() if at_once else 0
    unfolding, known = IncrementalResolver(said[:start]), dict(resolve_components(said[:start]))
    while start < len(said):
        end = start + (at_once.pop() if at_once else 1)
        known |= unfolding.add_facts(said[start:end])
        assert known == resolve_components(said[:end])
        start = end
