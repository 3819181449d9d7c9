"""Who is who, example by example; that order does not matter is a property test."""

from __future__ import annotations

from datetime import timedelta

from domain.identifiers import Identifier
from domain.identity import Absorbed, Fact, Linked, Separated, resolve
from tests.builders import NOON, anonymous, user

ANN, BOB = user("ann"), user("bob")
MAIL = Identifier("email", "ann@example.com")


def at(minutes: int):
    return NOON + timedelta(minutes=minutes)


def people(*facts: Fact) -> set[frozenset[Identifier]]:
    return {component.members for component in resolve(facts).values()}


def test_what_was_shown_together_is_one_person() -> None:
    facts = (Linked(at(0), anonymous(), ANN), Linked(at(1), MAIL, ANN))
    assert people(*facts) == {frozenset({anonymous(), ANN, MAIL})}
    assert resolve(facts)[anonymous()].canonical == ANN


def test_a_shared_device_belongs_to_the_first_who_claimed_it() -> None:
    facts = (Linked(at(5), anonymous(), BOB), Linked(at(1), anonymous(), ANN))
    assert people(*facts) == {frozenset({anonymous(), ANN}), frozenset({BOB})}


def test_two_users_become_one_only_by_a_merge() -> None:
    shared = (Linked(at(1), anonymous(), ANN), Linked(at(5), anonymous(), BOB))
    merged = (*shared, Absorbed(at(9), ANN, BOB))
    assert people(*merged) == {frozenset({anonymous(), ANN, BOB})}


def test_the_primary_of_a_merge_names_the_person() -> None:
    assert resolve([Absorbed(at(0), BOB, ANN)])[ANN].canonical == BOB
    assert resolve([Absorbed(at(0), ANN, BOB)])[BOB].canonical == ANN


def test_merging_both_ways_round_is_still_one_person() -> None:
    facts = (Absorbed(at(0), ANN, BOB), Absorbed(at(1), BOB, ANN))
    assert people(*facts) == {frozenset({ANN, BOB})}


def test_an_alias_to_oneself_is_nothing() -> None:
    assert people(Absorbed(at(0), ANN, ANN)) == {frozenset({ANN})}


def test_an_unmerge_undoes_what_was_before_it_and_not_what_comes_after() -> None:
    before, undo = Absorbed(at(0), ANN, BOB), Separated(at(5), BOB)
    assert people(before, undo) == {frozenset({ANN}), frozenset({BOB})}
    assert people(before, undo, Absorbed(at(6), ANN, BOB)) == {frozenset({ANN, BOB})}
    assert people(Absorbed(at(5), ANN, BOB), undo) == {frozenset({ANN}), frozenset({BOB})}


def test_a_device_goes_to_the_next_claimant_once_it_is_taken_out() -> None:
    facts = (
        Linked(at(1), anonymous(), ANN),
        Separated(at(3), anonymous()),
        Linked(at(5), anonymous(), BOB),
    )
    assert people(*facts) == {frozenset({ANN}), frozenset({anonymous(), BOB})}


def test_blocked_values_never_make_a_person_of_many() -> None:
    nobody = user("null")
    facts = (Linked(at(0), nobody, anonymous("a")), Linked(at(1), nobody, anonymous("b")))
    assert len(people(*facts)) == 3


def test_a_component_with_too_many_names_is_told() -> None:
    few = resolve([Linked(at(n), ANN, anonymous(f"a-{n}")) for n in range(3)])
    many = resolve([Linked(at(n), ANN, anonymous(f"a-{n}")) for n in range(120)])
    assert (few[ANN].is_large, many[ANN].is_large) == (False, True)
