"""Identity in the read model: examples, and what is logged of oversized profiles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.identity import claims
from domain.identity.resolution import LARGE_COMPONENT
from domain.profiles.erasure import ErasureScope
from projections import identity
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.history import stream_of

ANN, BOB, KIOSK = user("ann"), user("bob"), anonymous("kiosk")


def profile_of(given, who):
    with given.engine.connect() as tx:
        return identity.load_profile(tx, 1, stream_of(who))


def names(given, who) -> set[str]:
    return {it.value for it in profile_of(given, who).identifiers}


def shown(*who, minutes: int = 0):
    return tracked("Viewed", *who, occurred_at=NOON + timedelta(minutes=minutes))


def test_a_late_link_moves_a_device_to_who_claimed_it_first(given):
    given.messages(shown(BOB, KIOSK, minutes=5))
    assert names(given, KIOSK) == {"bob", "kiosk"}
    given.messages(shown(ANN, KIOSK, minutes=1))
    assert (names(given, KIOSK), names(given, BOB)) == ({"ann", "kiosk"}, {"bob"})


def test_an_unknown_stream_is_a_profile_of_its_own(given):
    unknown = stream_of(user("unknown"))
    with given.engine.connect() as tx:
        assert identity.load_profile(tx, 1, unknown).streams == (unknown,)
        assert identity.load_profile_ids(tx, 1, [unknown]) == {unknown: unknown}
        assert identity.load_profile_ids(tx, 1, []) == {}


def test_many_users_of_one_device_stay_many(given):
    given.messages(*(shown(user(f"u-{n}"), KIOSK, minutes=n) for n in range(200)))
    assert names(given, user("u-7")) == {"u-7"}
    assert given.ask("/profiles/large")["profiles"] == []


def test_an_unmerge_gives_the_device_to_the_next_of_its_users(given):
    given.messages(*(shown(user(f"u-{n}"), KIOSK, minutes=n) for n in range(3)))
    given.messages(unmerged(KIOSK, user("u-0"), occurred_at=NOON + timedelta(minutes=9)))
    assert names(given, KIOSK) == {"u-1", "kiosk"}


def test_a_profile_with_too_many_identifiers_is_logged_once(given, capsys):
    devices = [shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(LARGE_COMPONENT)]
    given.messages(*devices[: LARGE_COMPONENT - 2])
    assert given.ask("/profiles/large")["profiles"] == []
    given.messages(devices[-2])
    given.messages(devices[-1])
    [large] = given.ask("/profiles/large")["profiles"]
    assert (large["id"], large["identifiers"]) == (str(stream_of(ANN)), LARGE_COMPONENT + 1)
    assert len(large["sample"]) == 10
    logged = [it for it in capsys.readouterr().out.splitlines() if "large_profile" in it]
    assert len(logged) == 1
    assert "ann" not in logged[0]


def test_large_profiles_are_listed_largest_first_page_by_page(given):
    for n, who in enumerate((ANN, BOB)):
        given.messages(
            *(shown(who, anonymous(f"{who.value}-{it}")) for it in range(LARGE_COMPONENT + n))
        )
    first = given.ask("/profiles/large", limit=1)
    second = given.ask("/profiles/large", limit=1, cursor=first["next"])
    sizes = [it["identifiers"] for it in first["profiles"] + second["profiles"]]
    assert (sizes, second["next"]) == ([LARGE_COMPONENT + 2, LARGE_COMPONENT + 1], None)


def test_a_profile_that_was_taken_apart_is_large_no_more(given):
    given.messages(
        *(shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(LARGE_COMPONENT - 1))
    )
    given.messages(unmerged(anonymous("a-0"), ANN, occurred_at=NOON + timedelta(days=1)))
    assert given.ask("/profiles/large")["profiles"] == []


SHOWN = [shown(ANN, KIOSK, minutes=5), shown(BOB, KIOSK, minutes=1)]
TAKEN_APART = [unmerged(ANN, BOB)]


@pytest.mark.parametrize("before", [SHOWN, TAKEN_APART])
def test_an_alias_guesses_of_no_name_that_was_shown_before(given, before):
    alias = tracked("alias", user("cy"), kind="alias", absorbs=(ANN, anonymous("ann")))
    history = [*before, alias]
    for message in history:
        given.messages(message)
    given.messages(*history, workspace=2)
    assert identity_rows(given, 1) == identity_rows(given, 2)


ANNS = [shown(ANN, KIOSK, minutes=1), shown(ANN, anonymous("a"))]
MERGED = merged(BOB, user("rob"))


@pytest.mark.parametrize(("erased", "left"), [(BOB, ANNS), (ANN, [MERGED])])
def test_who_is_forgotten_leaves_others_as_they_are_without_them(given, erased, left):
    given.messages(*ANNS, shown(BOB, KIOSK, minutes=2), MERGED)
    given.messages(*left, workspace=2)
    with given.engine.begin() as tx:
        gone = profile_of(given, erased).streams
        identity.projection.erase(tx, ErasureScope(1, gone))
    assert identity_rows(given, 1) == identity_rows(given, 2)


def identity_rows(given, workspace: int):
    tables = given.tables(workspace=workspace)
    return {name: rows for name, rows in tables.items() if "read_identity" in name}


@pytest.fixture
def three_claims(monkeypatch):
    monkeypatch.setattr(claims, "MAX_CLAIMS", 3)


def test_the_first_links_of_an_identifier_count(given, three_claims):
    given.messages(*(shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(5)))
    assert names(given, ANN) == {"ann", "a-0", "a-1", "a-2"}
    assert names(given, anonymous("a-4")) == {"a-4"}
    assert (profile_of(given, ANN).is_capped, profile_of(given, anonymous("a-4")).is_capped) == (
        True,
        False,
    )


def test_a_late_earlier_link_evicts_the_last_which_joins_who_else_claims_it(given, three_claims):
    given.messages(*(shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(1, 4)))
    given.messages(shown(BOB, anonymous("a-3"), minutes=9))
    assert names(given, anonymous("a-3")) == {"ann", "a-1", "a-2", "a-3"}
    given.messages(shown(ANN, anonymous("a-0"), minutes=0))
    assert names(given, ANN) == {"ann", "a-0", "a-1", "a-2"}
    assert names(given, BOB) == {"bob", "a-3"}


def test_no_facts_are_loaded_for_links_that_are_capped(given, three_claims):
    given.messages(*(shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(1, 4)))
    loads, load = [], given.feed.identity_events_for

    def noted(workspace, streams):
        loads.append(set(streams))
        return load(workspace, streams)

    given.feed.identity_events_for = noted
    given.messages(*(shown(ANN, anonymous(f"b-{n}"), minutes=9) for n in range(3)))
    assert loads == []
    given.messages(shown(ANN, anonymous("a-0"), minutes=0))
    assert len(loads) == 1, "this one counts"


def test_users_of_one_device_are_no_claims_of_it(given, three_claims):
    given.messages(*(shown(user(f"u-{n}"), KIOSK, minutes=n) for n in range(9)))
    assert not profile_of(given, KIOSK).is_capped
    given.messages(unmerged(KIOSK, user("u-0"), occurred_at=NOON + timedelta(minutes=20)))
    assert names(given, KIOSK) == {"u-1", "kiosk"}


def test_explicit_merges_are_not_capped(given, three_claims):
    given.messages(*(shown(ANN, anonymous(f"a-{n}"), minutes=n) for n in range(5)))
    given.messages(merged(ANN, anonymous("a-4"), occurred_at=NOON + timedelta(minutes=20)))
    assert names(given, ANN) == {"ann", "a-0", "a-1", "a-2", "a-4"}
