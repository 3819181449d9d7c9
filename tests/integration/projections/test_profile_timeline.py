from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.core.errors import InvalidRequest, NotFound
from domain.core.identifiers import Identifier, system_stream
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.history import SECRET, stream_of

PATH = "/profiles/{ref}/timeline"


def names(given, ref, **filters):
    """Return the names of what was received."""
    params = {"derived": False, **filters}
    return [it["name"] for it in given.ask(PATH, ref=ref, **params)["timeline"]]


def test_a_profile_is_named_by_its_id_or_by_its_identifier(given):
    email = Identifier("email", "ada@example.com")
    given.messages(tracked("a", user()), tracked("b", anonymous()), tracked("c", email))

    assert names(given, "user_id:u-1") == ["a"]
    assert names(given, str(stream_of(user()))) == ["a"]
    assert names(given, "anonymous_id:a-1") == ["b"]
    assert names(given, "email:Ada@Example.com") == ["c"]


def test_a_timeline_is_newest_first_in_pages(given):
    given.messages(*(tracked(f"e-{i}", occurred_at=NOON + timedelta(hours=i)) for i in range(5)))
    page = given.ask(PATH, ref="user_id:u-1", limit=3)
    assert [it["name"] for it in page["timeline"]] == ["e-4", "e-3", "e-2"]
    assert names(given, "user_id:u-1", limit=3, cursor=page["next"]) == ["e-1", "e-0"]


def test_a_timeline_takes_the_filters_of_the_event_list(given):
    given.messages(tracked("Viewed", properties={"a": 1}), tracked("Bought"))
    assert names(given, "user_id:u-1", name="Bought") == ["Bought"]
    assert names(given, "user_id:u-1", where=["properties.a=1"]) == ["Viewed"]


def test_a_timeline_sees_through_links_merges_and_unmerges(given):
    def at(minutes, name, *who, **facts):
        return tracked(name, *who, occurred_at=NOON + timedelta(minutes=minutes), **facts)

    given.messages(
        at(0, "a", anonymous()),
        at(1, "b", user("u-2")),
        at(2, "c", user("u-1"), anonymous()),
        at(3, "d", user("u-2")),
    )
    assert names(given, "anonymous_id:a-1") == ["c", "a"]
    events = given.ask(PATH, ref="anonymous_id:a-1")["timeline"]
    assert {it["profile_id"] for it in events} == {str(stream_of(user("u-1")))}

    given.messages(merged(user("u-1"), user("u-2"), occurred_at=NOON + timedelta(minutes=4)))
    for ref in ("user_id:u-1", "user_id:u-2", "anonymous_id:a-1"):
        assert names(given, ref) == ["merge", "d", "c", "b", "a"]
        first = given.ask(PATH, ref=ref, derived=False, limit=3)
        rest = given.ask(PATH, ref=ref, derived=False, limit=3, cursor=first["next"])
        assert [it["name"] for it in first["timeline"]] == ["merge", "d", "c"]
        assert [it["name"] for it in rest["timeline"]] == ["b", "a"]

    given.messages(
        unmerged(user("u-2"), user("u-1"), occurred_at=NOON + timedelta(minutes=5)),
    )
    assert names(given, "user_id:u-1") == ["merge", "c", "a"]
    assert names(given, "user_id:u-2") == ["unmerge", "d", "b"]


def test_an_unknown_profile_is_not_found(given):
    given.messages(tracked("Viewed"), workspace=2)
    with pytest.raises(NotFound, match="user_id:u-1"):
        given.ask(PATH, ref="user_id:u-1")


def test_a_known_profile_without_matching_events_has_an_empty_timeline(given):
    given.messages(tracked("Viewed"))
    assert given.ask(PATH, ref="user_id:u-1", name="Bought")["timeline"] == []


def test_system_events_are_nobodys_timeline(given):
    given.messages(tracked("Deployed", identifiers=()))
    with pytest.raises(NotFound):
        given.ask(PATH, ref=str(UUID(bytes=system_stream(SECRET))))


def test_what_names_no_profile_is_refused(given):
    with pytest.raises(InvalidRequest):
        given.ask(PATH, ref="ada")
