from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.errors import InvalidRequest
from tests.builders import NOON, anonymous, tracked, user
from tests.integration.projections.history import stream_of, with_payload


def at(hours: float, name: str, **facts):
    return tracked(name, occurred_at=NOON + timedelta(hours=hours), **facts)


def test_an_event_is_listed_with_all_that_lists_show(given):
    message = with_payload(
        tracked("Bought", user("u-9"), message_id="m-9"),
        {"properties": {"total": 10.50}, "channel": "web", "context": {"sessionId": 7}},
    )
    [recorded] = given.messages(message)

    [event] = given.ask("/events")["events"]
    assert event == {
        "id": str(recorded.event.id),
        "position": 1,
        "message_id": "m-9",
        "kind": "track",
        "name": "Bought",
        "profile_id": str(stream_of(user("u-9"))),
        "occurred_at": "2026-01-01T12:00:00.000000Z",
        "received_at": "2026-01-01T12:00:00.000000Z",
        "recorded_at": "2026-10-28T12:00:00.001000Z",
        "channel": "web",
        "session_id": "7",
        "source": "segment",
        "properties": {"total": 10.5},
    }


def test_a_system_event_has_no_profile(given):
    given.messages(tracked("Deployed", identifiers=()))
    [event] = given.ask("/events")["events"]
    assert event["profile_id"] is None


def test_the_newest_comes_first_by_time_of_occurrence_then_by_position(given):
    given.messages(at(1, "b"), at(3, "d"), at(2, "c"), at(3, "e"), at(0, "a"))
    assert given.names() == ["e", "d", "c", "b", "a"]


def test_pages_follow_one_another_without_gap_or_repeat(given):
    given.messages(*(at(i // 3, f"e-{i:02}") for i in range(20)))
    page, pages = given.ask("/events", limit=6), []
    while True:
        pages += [it["name"] for it in page["events"]]
        if page["next"] is None:
            break
        page = given.ask("/events", limit=6, cursor=page["next"])
    assert pages == [f"e-{i:02}" for i in reversed(range(20))]


def test_a_page_is_stable_while_newer_events_come_in(given):
    given.messages(at(0, "a"), at(1, "b"), at(2, "c"))
    page = given.ask("/events", limit=2)
    given.messages(at(9, "later"))
    assert given.names(limit=2, cursor=page["next"]) == ["a"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"from": "2026-01-01T13:00:00Z"}, ["2h", "1h"]),
        ({"to": "2026-01-01T13:00:00Z"}, ["0h"]),
        ({"from": "2026-01-01T13:00:00Z", "to": "2026-01-01T14:00:00Z"}, ["1h"]),
        ({"from": "2026-01-01T14:00", "tz": "Europe/Berlin"}, ["2h", "1h"]),
        ({"from": "2026-01-02"}, []),
        ({"from": "2026-01-01", "to": "2026-01-02"}, ["2h", "1h", "0h"]),
        ({"from": "2026-01-02", "tz": "Pacific/Kiritimati"}, ["2h", "1h", "0h"]),
    ],
)
def test_from_is_included_and_to_is_not(given, filters, names):
    given.messages(at(0, "0h"), at(1, "1h"), at(2, "2h"))
    assert given.names(**filters) == names


@pytest.fixture
def shop(given):
    """Six events that differ in all that can be filtered by."""
    given.messages(
        tracked(
            "Viewed", anonymous(), properties={"total": 5, "session_id": "s-1", "channel": "web"}
        ),
        tracked("Viewed", user(), properties={"total": 150, "session_id": "s-1", "channel": "web"}),
        tracked("Bought", user(), properties={"total": 150, "channel": "mobile"}),
        tracked(
            "Bought", user("u-2"), properties={"items": [{"type": "cable"}, {"type": "monitor"}]}
        ),
        tracked("Deployed", identifiers=()),
        tracked("Bought", anonymous(), user("u-2"), properties={"total": "150", "a b": "x"}),
    )
    return given


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"name": "Bought"}, [6, 4, 3]),
        ({"name": "bought"}, []),
        ({"profile": "user_id:u-1"}, [3, 2]),
        ({"profile": "anonymous_id:a-1"}, [6, 4, 1]),
        ({"profile": "user_id:unknown"}, []),
        ({"profile": str(stream_of(user("u-2")))}, [6, 4, 1]),
        ({"channel": "web"}, [2, 1]),
        ({"session": "s-1"}, [2, 1]),
        ({"orphaned": True}, [6, 5, 4, 3]),
        ({"orphaned": False}, [2, 1]),
        ({"anonymous": True}, [1]),
        ({"anonymous": False}, [6, 4, 3, 2]),
        ({"where": ["properties.total>100"]}, [3, 2]),
        ({"where": ["properties.total=150"]}, [3, 2]),
        ({"where": ['properties.total="150"']}, [6]),
        ({"where": ["properties.items[].type=monitor"]}, [4]),
        ({"where": ['properties["a b"]="x"']}, [6]),
        ({"where": ["properties.total not exists"]}, [5, 4]),
        ({"where": ["properties.total>100", "properties.channel=web"]}, [2]),
        ({"name": "Bought", "profile": "user_id:u-1", "channel": "mobile", "orphaned": True}, [3]),
        (
            {
                "name": "Viewed",
                "anonymous": False,
                "session": "s-1",
                "where": ["properties.total>1"],
            },
            [2],
        ),
        ({"name": "Viewed", "where": ["properties.total!=5"], "limit": 1}, [2]),
    ],
)
def test_filters_combine_in_any_way(shop, filters, positions):
    events = shop.ask("/events", **filters)["events"]
    by_id = {it["id"]: place for place, it in enumerate(reversed(shop.ask("/events")["events"]), 1)}
    assert [by_id[it["id"]] for it in events] == positions


@pytest.mark.parametrize(
    "filters",
    [
        {"from": "soon"},
        {"tz": "Mars"},
        {"cursor": "nonsense"},
        {"where": ["total>1"]},
        {"profile": "ada"},
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused(given, filters):
    with pytest.raises(InvalidRequest):
        given.ask("/events", **filters)


@pytest.mark.parametrize(
    "text",
    [
        "properties.a='; DROP TABLE x; --",
        'properties["\\") || true || (\\""]=1',
        "properties.a=%(workspace)s :workspace $1",
        'properties["$value"]="$value"',
        "properties.a=\0",
    ],
)
def test_nothing_of_a_filter_becomes_sql(given, text):
    given.messages(tracked(properties={"a": "x"}))
    assert given.names(where=[text]) == []


def test_a_name_that_is_too_long_for_an_index_is_still_found_by_itself(given):
    given.messages(tracked("long" * 1_000), tracked("long"))
    assert len(given.names(name="long" * 1_000)) == 1


def test_names_with_nul_are_found_by_themselves(given):
    given.messages(tracked("a\0b"))
    assert given.names(name="a\0b") == ["a\ufffdb"]
