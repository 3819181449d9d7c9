"""Identity resolution by example; that order does not matter is a property test."""

from __future__ import annotations

from datetime import timedelta

from domain.core.identifiers import Identifier
from domain.identity.facts import IdentityFact, LinkFact, MergeFact, UnmergeFact
from domain.identity.resolution import resolve_components
from tests.builders import NOON, anonymous, user

ANN, BOB = user("ann"), user("bob")
MAIL = Identifier("email", "ann@example.com")


def at(minutes: int):
    return NOON + timedelta(minutes=minutes)


def components(*facts: IdentityFact) -> set[frozenset[Identifier]]:
    return {component.members for component in resolve_components(facts).values()}


def test_linked_identifiers_are_one_profile() -> None:
    facts = (LinkFact(at(0), anonymous(), ANN), LinkFact(at(1), MAIL, ANN))
    assert components(*facts) == {frozenset({anonymous(), ANN, MAIL})}
    assert resolve_components(facts)[anonymous()].canonical == ANN


def test_a_shared_device_belongs_to_the_first_user_that_claims_it() -> None:
    facts = (LinkFact(at(5), anonymous(), BOB), LinkFact(at(1), anonymous(), ANN))
    assert components(*facts) == {frozenset({anonymous(), ANN}), frozenset({BOB})}


def test_two_user_ids_join_only_by_a_merge() -> None:
    shared = (LinkFact(at(1), anonymous(), ANN), LinkFact(at(5), anonymous(), BOB))
    merged = (*shared, MergeFact(at(9), ANN, BOB))
    assert components(*merged) == {frozenset({anonymous(), ANN, BOB})}


def test_the_primary_of_a_merge_is_canonical() -> None:
    assert resolve_components([MergeFact(at(0), BOB, ANN)])[ANN].canonical == BOB
    assert resolve_components([MergeFact(at(0), ANN, BOB)])[BOB].canonical == ANN


def test_merging_in_both_directions_gives_one_profile() -> None:
    facts = (MergeFact(at(0), ANN, BOB), MergeFact(at(1), BOB, ANN))
    assert components(*facts) == {frozenset({ANN, BOB})}


def test_an_alias_of_an_identifier_to_itself_has_no_effect() -> None:
    assert components(MergeFact(at(0), ANN, ANN)) == {frozenset({ANN})}


def unmerge(minutes: int, identifier: Identifier, *others: Identifier) -> UnmergeFact:
    return UnmergeFact(at(minutes), identifier, frozenset(others))


def test_an_unmerge_undoes_the_merges_before_it_and_not_those_after() -> None:
    before, undo = MergeFact(at(0), ANN, BOB), unmerge(5, BOB, ANN)
    assert components(before, undo) == {frozenset({ANN}), frozenset({BOB})}
    assert components(before, undo, MergeFact(at(6), ANN, BOB)) == {frozenset({ANN, BOB})}
    assert components(MergeFact(at(5), ANN, BOB), undo) == {frozenset({ANN}), frozenset({BOB})}


def test_an_unmerge_leaves_each_side_its_own_links() -> None:
    links = (LinkFact(at(0), anonymous("a"), ANN), LinkFact(at(1), anonymous("b"), BOB))
    merged = (*links, MergeFact(at(2), ANN, BOB))
    assert len(components(*merged)) == 1
    sides = {frozenset({anonymous("a"), ANN}), frozenset({anonymous("b"), BOB})}
    assert components(*merged, unmerge(3, BOB, ANN)) == sides


def test_a_separated_pair_is_not_linked_again_by_the_next_event() -> None:
    facts = (LinkFact(at(1), anonymous(), ANN), unmerge(3, anonymous(), ANN))
    assert components(*facts, LinkFact(at(5), anonymous(), ANN)) == {
        frozenset({ANN}),
        frozenset({anonymous()}),
    }


def test_a_separated_device_joins_the_next_user_that_claims_it() -> None:
    facts = (
        LinkFact(at(1), anonymous(), ANN),
        unmerge(3, anonymous(), ANN),
        LinkFact(at(5), anonymous(), BOB),
    )
    assert components(*facts) == {frozenset({ANN}), frozenset({anonymous(), BOB})}


def test_an_identifier_that_an_alias_only_guesses_is_never_canonical() -> None:
    guesses = (user("1"), anonymous("1"))
    facts = [MergeFact(at(0), anonymous("z"), guess, certain=False) for guess in guesses]
    assert resolve_components(facts)[user("1")].canonical == anonymous("z")
    assert resolve_components(facts)[user("1")].guessed == frozenset(guesses)
    confirmed = resolve_components([*facts, LinkFact(at(1), user("1"), anonymous("y"))])
    assert confirmed[user("1")].guessed == frozenset({anonymous("1")})


def test_a_merge_with_policy_primary_demotes_the_secondary_up_to_the_merge() -> None:
    facts = [MergeFact(at(0), ANN, BOB, "primary"), MergeFact(at(4), ANN, BOB, "primary")]
    assert resolve_components(facts)[ANN].demoted == {BOB: at(4)}


def test_a_merge_absorbs_the_whole_component_of_the_secondary() -> None:
    phone = anonymous("phone")
    facts = [
        LinkFact(at(0), phone, BOB),
        LinkFact(at(0), MAIL, BOB),
        MergeFact(at(1), anonymous(), phone, "primary"),
    ]
    component = resolve_components(facts)[anonymous()]
    assert component.canonical == anonymous()
    assert component.demoted == dict.fromkeys([phone, MAIL, BOB], at(1))


def test_a_merge_absorbs_what_earlier_merges_joined() -> None:
    zed = user("zed")
    facts = [MergeFact(at(1), BOB, ANN), MergeFact(at(2), zed, BOB, "primary")]
    assert resolve_components(facts)[ANN].canonical == zed
    assert resolve_components(facts)[ANN].demoted == {ANN: at(2), BOB: at(2)}


def test_an_alias_in_the_opposite_direction_changes_nothing() -> None:
    facts = [MergeFact(at(1), BOB, ANN), MergeFact(at(2), ANN, BOB)]
    assert resolve_components(facts)[ANN].canonical == BOB


def test_blocked_values_never_join_profiles() -> None:
    blocked = user("null")
    facts = (LinkFact(at(0), blocked, anonymous("a")), LinkFact(at(1), blocked, anonymous("b")))
    assert len(components(*facts)) == 3


def test_a_component_with_too_many_identifiers_is_reported_as_large() -> None:
    few = resolve_components([LinkFact(at(n), ANN, anonymous(f"a-{n}")) for n in range(3)])
    many = resolve_components([LinkFact(at(n), ANN, anonymous(f"a-{n}")) for n in range(120)])
    assert (few[ANN].is_large, many[ANN].is_large) == (False, True)
