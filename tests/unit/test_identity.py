"""Who is who, example by example; that order does not matter is a property test."""

from __future__ import annotations

from datetime import timedelta

from domain.core.identifiers import Identifier
from domain.identity.resolution import (
    IdentityFact,
    LinkFact,
    MergeFact,
    UnmergeFact,
    resolve_components,
)
from tests.builders import NOON, anonymous, user

ANN, BOB = user("ann"), user("bob")
MAIL = Identifier("email", "ann@example.com")


def at(minutes: int):
    return NOON + timedelta(minutes=minutes)


def people(*facts: IdentityFact) -> set[frozenset[Identifier]]:
    return {component.members for component in resolve_components(facts).values()}


def test_what_was_shown_together_is_one_person() -> None:
    facts = (LinkFact(at(0), anonymous(), ANN), LinkFact(at(1), MAIL, ANN))
    assert people(*facts) == {frozenset({anonymous(), ANN, MAIL})}
    assert resolve_components(facts)[anonymous()].canonical == ANN


def test_a_shared_device_belongs_to_the_first_who_claimed_it() -> None:
    facts = (LinkFact(at(5), anonymous(), BOB), LinkFact(at(1), anonymous(), ANN))
    assert people(*facts) == {frozenset({anonymous(), ANN}), frozenset({BOB})}


def test_two_users_become_one_only_by_a_merge() -> None:
    shared = (LinkFact(at(1), anonymous(), ANN), LinkFact(at(5), anonymous(), BOB))
    merged = (*shared, MergeFact(at(9), ANN, BOB))
    assert people(*merged) == {frozenset({anonymous(), ANN, BOB})}


def test_the_primary_of_a_merge_names_the_person() -> None:
    assert resolve_components([MergeFact(at(0), BOB, ANN)])[ANN].canonical == BOB
    assert resolve_components([MergeFact(at(0), ANN, BOB)])[BOB].canonical == ANN


def test_merging_both_ways_round_is_still_one_person() -> None:
    facts = (MergeFact(at(0), ANN, BOB), MergeFact(at(1), BOB, ANN))
    assert people(*facts) == {frozenset({ANN, BOB})}


def test_an_alias_to_oneself_is_nothing() -> None:
    assert people(MergeFact(at(0), ANN, ANN)) == {frozenset({ANN})}


def apart(minutes: int, identifier: Identifier, *others: Identifier) -> UnmergeFact:
    return UnmergeFact(at(minutes), identifier, frozenset(others))


def test_an_unmerge_undoes_the_merges_before_it_and_not_those_after() -> None:
    before, undo = MergeFact(at(0), ANN, BOB), apart(5, BOB, ANN)
    assert people(before, undo) == {frozenset({ANN}), frozenset({BOB})}
    assert people(before, undo, MergeFact(at(6), ANN, BOB)) == {frozenset({ANN, BOB})}
    assert people(MergeFact(at(5), ANN, BOB), undo) == {frozenset({ANN}), frozenset({BOB})}


def test_an_unmerge_leaves_each_side_its_own_links() -> None:
    links = (LinkFact(at(0), anonymous("a"), ANN), LinkFact(at(1), anonymous("b"), BOB))
    merged = (*links, MergeFact(at(2), ANN, BOB))
    assert len(people(*merged)) == 1
    sides = {frozenset({anonymous("a"), ANN}), frozenset({anonymous("b"), BOB})}
    assert people(*merged, apart(3, BOB, ANN)) == sides


def test_a_pair_that_was_taken_apart_is_not_linked_again_by_the_next_event() -> None:
    facts = (LinkFact(at(1), anonymous(), ANN), apart(3, anonymous(), ANN))
    assert people(*facts, LinkFact(at(5), anonymous(), ANN)) == {
        frozenset({ANN}),
        frozenset({anonymous()}),
    }


def test_a_device_goes_to_the_next_claimant_once_it_is_taken_out() -> None:
    facts = (
        LinkFact(at(1), anonymous(), ANN),
        apart(3, anonymous(), ANN),
        LinkFact(at(5), anonymous(), BOB),
    )
    assert people(*facts) == {frozenset({ANN}), frozenset({anonymous(), BOB})}


def test_a_name_that_an_alias_only_may_have_meant_never_names_the_person() -> None:
    either = (user("1"), anonymous("1"))
    facts = [MergeFact(at(0), anonymous("z"), it, certain=False) for it in either]
    assert resolve_components(facts)[user("1")].canonical == anonymous("z")
    assert resolve_components(facts)[user("1")].guessed == frozenset(either)
    seen = resolve_components([*facts, LinkFact(at(1), user("1"), anonymous("y"))])
    assert seen[user("1")].guessed == frozenset({anonymous("1")})


def test_a_merge_with_policy_primary_demotes_what_the_secondary_said_before() -> None:
    facts = [MergeFact(at(0), ANN, BOB, "primary"), MergeFact(at(4), ANN, BOB, "primary")]
    assert resolve_components(facts)[ANN].demoted == {BOB: at(4)}


def test_a_merge_absorbs_all_that_is_one_with_the_secondary() -> None:
    phone = anonymous("phone")
    facts = [
        LinkFact(at(0), phone, BOB),
        LinkFact(at(0), MAIL, BOB),
        MergeFact(at(1), anonymous(), phone, "primary"),
    ]
    person = resolve_components(facts)[anonymous()]
    assert person.canonical == anonymous()
    assert person.demoted == dict.fromkeys([phone, MAIL, BOB], at(1))


def test_what_an_earlier_merge_brought_is_absorbed_with_it() -> None:
    zed = user("zed")
    facts = [MergeFact(at(1), BOB, ANN), MergeFact(at(2), zed, BOB, "primary")]
    assert resolve_components(facts)[ANN].canonical == zed
    assert resolve_components(facts)[ANN].demoted == {ANN: at(2), BOB: at(2)}


def test_an_alias_the_other_way_round_changes_nothing() -> None:
    facts = [MergeFact(at(1), BOB, ANN), MergeFact(at(2), ANN, BOB)]
    assert resolve_components(facts)[ANN].canonical == BOB


def test_blocked_values_never_make_a_person_of_many() -> None:
    nobody = user("null")
    facts = (LinkFact(at(0), nobody, anonymous("a")), LinkFact(at(1), nobody, anonymous("b")))
    assert len(people(*facts)) == 3


def test_a_component_with_too_many_names_is_told() -> None:
    few = resolve_components([LinkFact(at(n), ANN, anonymous(f"a-{n}")) for n in range(3)])
    many = resolve_components([LinkFact(at(n), ANN, anonymous(f"a-{n}")) for n in range(120)])
    assert (few[ANN].is_large, many[ANN].is_large) == (False, True)
