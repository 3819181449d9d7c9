from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.errors import InvalidRequest, NotFound
from domain.core.identifiers import Identifier
from tests.builders import NOON, anonymous, user
from tests.integration.projections.history import stream_of
from tests.unit.given_profile import identified, message


def ids(answer):
    return [it["identifiers"][0]["value"] for it in answer["profiles"]]


@pytest.fixture
def found_profiles(given):
    given.messages(
        identified(
            1, user("ada"), name="Ada Lovelace", email="ada@example.com", phone="+49 170 12"
        ),
        identified(2, user("grace"), firstName="Grace", lastName="Hopper", email="Grace@Navy.mil"),
        identified(3, user("zoë"), name="Zoë"),
        message("track", 9, "Viewed", identifiers=[user("ada")]),
    )
    return given


@pytest.mark.smoke
def test_a_profile_shows_attributes_tags_and_contacts(given):
    given.messages(
        identified(
            1, user(), anonymous(), email="ada@example.com", plan="pro", tags=["vip"], name="Ada"
        ),
        message("track", 0, "Viewed", identifiers=[anonymous()]),
        message(
            "track",
            3,
            "Opened",
            identifiers=[user()],
            context={"device": {"token": "t", "type": "ios"}},
        ),
        message("group", 4, identifiers=[user()], groupId="g-1", traits={"name": "Acme"}),
    )
    expected = {
        "id": str(stream_of(user())),
        "identifiers": [
            {"kind": "user_id", "value": "u-1"},
            {"kind": "anonymous_id", "value": "a-1"},
        ],
        "name": "Ada",
        "attributes": {"email": "ada@example.com", "name": "Ada", "plan": "pro"},
        "tags": ["vip"],
        "computed": {},
        "contacts": [
            {"kind": "email", "value": "ada@example.com", "since": "2026-01-01T12:01:00.000000Z"},
            {"kind": "push", "value": "t", "since": "2026-01-01T12:03:00.000000Z"},
        ],
        "groups": [
            {"object_type_id": "1", "id": "g-1", "traits": {"name": "Acme"}, "relationship": {}}
        ],
        "devices": [
            {
                "token": "t",
                "type": "ios",
                "last_used": "2026-01-01T12:03:00.000000Z",
                "attributes": {},
            }
        ],
        "counts": {"Opened": 1, "Viewed": 1, "group": 1, "identify": 1},
        "first_seen": "2026-01-01T12:00:00.000000Z",
        "last_seen": "2026-01-01T12:04:00.000000Z",
        "full": [],
        "absorbed": [str(stream_of(anonymous()))],
        "capped": False,
        "as_of": None,
        "projected_to": 5,
    }
    assert given.ask("/profiles/{ref}", ref="user_id:u-1") == expected
    assert given.ask("/profiles/{ref}", ref="anonymous_id:a-1") == expected
    assert given.ask("/profiles/{ref}", ref=str(stream_of(anonymous()))) == expected


def test_a_historical_import_does_not_overwrite_newer_attributes(given):
    given.messages(identified(60, user(), plan="pro"))
    given.messages(identified(1, user(), plan="free", city="Rome"))
    shown = given.ask("/profiles/{ref}", ref="user_id:u-1")
    assert shown["attributes"] == {"plan": "pro", "city": "Rome"}
    assert shown["first_seen"] == "2026-01-01T12:01:00.000000Z"


def test_a_profile_never_heard_of_is_not_found(given):
    given.messages(message("track", 1, "Broadcast", identifiers=[]))
    with pytest.raises(NotFound):
        given.ask("/profiles/{ref}", ref="user_id:unknown")


def test_profiles_are_listed_with_those_last_seen_first(found_profiles):
    answer = found_profiles.ask("/profiles")
    assert ids(answer) == ["ada", "zoë", "grace"]
    assert answer["profiles"][0] == {
        "id": str(stream_of(user("ada"))),
        "identifiers": [{"kind": "user_id", "value": "ada"}],
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "phone": "+49 170 12",
        "first_seen": "2026-01-01T12:01:00.000000Z",
        "last_seen": "2026-01-01T12:09:00.000000Z",
    }


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("love", ["ada"]),
        ("LOVELACE", ["ada"]),
        ("race h", ["grace"]),
        ("navy.mil", ["grace"]),
        ("example.com", ["ada"]),
        ("+49 170", ["ada"]),
        ("4917012", ["ada"]),
        ("a", ["ada"]),
        ("gr", ["grace"]),
        ("ov", []),
        ("zoe\u0308", ["zoë"]),
        ("oë", ["zoë"]),
        ("%", []),
        ("a_a", []),
        ("unknown", []),
        ("  ", ["ada", "zoë", "grace"]),
        ("\0", ["ada", "zoë", "grace"]),
    ],
)
def test_a_search_finds_parts_of_names_addresses_numbers_and_identifiers(found_profiles, q, found):
    assert ids(found_profiles.ask("/profiles", q=q)) == found


@pytest.mark.parametrize("q", [None, "user"])
def test_pages_of_profiles_show_each_profile_once(given, q):
    given.messages(
        *(
            identified(n % 7, user(f"user-{n}"), *([anonymous(f"user-a{n}")] if n % 2 else []))
            for n in range(20)
        ),
        *(
            message("track", n % 5, "Viewed", identifiers=[anonymous(f"user-a{n}")])
            for n in range(20)
        ),
    )
    seen, cursor = [], None
    while True:
        page = given.ask("/profiles", q=q, limit=3, cursor=cursor)
        seen += [it["id"] for it in page["profiles"]]
        cursor = page["next"]
        if cursor is None:
            break
    everyone = {stream_of(user(f"user-{n}")) for n in range(20)}
    everyone |= {stream_of(anonymous(f"user-a{n}")) for n in range(0, 20, 2)}
    assert len(seen) == len(set(seen))
    assert set(seen) == {str(it) for it in everyone}


def test_a_value_overruled_by_another_stream_is_not_found(given):
    given.messages(
        identified(1, anonymous(), email="old@example.com"),
        identified(2, user(), anonymous(), email="new@example.com"),
    )
    assert given.ask("/profiles", q="old@")["profiles"] == []
    (found,) = given.ask("/profiles", q="new@")["profiles"]
    assert found["email"] == "new@example.com"
    assert len(given.ask("/profiles", q="example")["profiles"]) == 1


def test_a_changed_name_is_found_and_the_old_one_is_not(found_profiles):
    found_profiles.messages(identified(30, user("ada"), name="Ada King"))
    assert ids(found_profiles.ask("/profiles", q="king")) == ["ada"]
    assert ids(found_profiles.ask("/profiles", q="lovelace")) == []


def test_what_only_the_index_of_trigrams_finds_is_found(found_profiles, monkeypatch):
    monkeypatch.setattr("projections.profile.listing.NEWEST_ROWS", 0)
    monkeypatch.setattr(
        "projections.profile.listing._NEWEST_MATCHES",
        "SELECT now(), NULL WHERE false --{after}{limit}",
    )
    assert ids(found_profiles.ask("/profiles", q="love")) == ["ada"]
    assert ids(found_profiles.ask("/profiles", q="g")) == ["grace"]
    assert ids(found_profiles.ask("/profiles", q="ë")) == []
    assert ids(found_profiles.ask("/profiles", q="oë")) == ["zoë"]


def test_a_search_finds_no_profile_of_another_workspace(found_profiles):
    found_profiles.messages(identified(1, user("eve"), name="Eve Love"), workspace=2)
    assert ids(found_profiles.ask("/profiles", q="love")) == ["ada"]
    assert ids(found_profiles.ask("/profiles", q="love", workspace=2)) == ["eve"]


def test_a_merge_does_not_change_last_seen(given):
    merge = message("merge", 9, identifiers=[user()], source="foldline")
    given.messages(identified(1, user()), merge)
    shown = given.ask("/profiles/{ref}", ref="user_id:u-1")
    assert shown["last_seen"] == "2026-01-01T12:01:00.000000Z"
    assert shown["counts"] == {"identify": 1}


def test_a_cursor_from_elsewhere_is_refused(found_profiles):
    with pytest.raises(InvalidRequest):
        found_profiles.ask("/profiles", cursor="x")


def test_the_last_batch_counts_like_the_first(given):
    for n in range(3):
        given.messages(message("track", n, "Viewed", identifiers=[user()]))
    shown = given.ask("/profiles/{ref}", ref="user_id:u-1")
    assert shown["counts"] == {"Viewed": 3}
    assert shown["last_seen"] == (NOON + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_email_identifier_is_found(given):
    given.messages(message("track", 1, "Viewed", identifiers=[Identifier("email", "x@y.example")]))
    assert len(given.ask("/profiles", q="y.ex")["profiles"]) == 1
