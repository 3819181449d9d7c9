from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.errors import InvalidRequest
from projections.event_catalogue.survey import MAX_PATHS
from tests.builders import NOON, tracked
from tests.integration.projections.history import with_payload


def types(given, **params):
    return given.ask("/event-types", **params)["event_types"]


def test_an_event_type_tells_how_often_when_and_with_what(given):
    given.messages(
        tracked(
            "Bought", properties={"total": 5, "items": [{"type": "cable"}, {"type": "monitor"}]}
        ),
        tracked("Bought", properties={"total": "5"}, occurred_at=NOON + timedelta(days=1)),
    )
    assert types(given) == [
        {
            "name": "Bought",
            "kind": "track",
            "count": 2,
            "first_seen": "2026-01-01T12:00:00.000000Z",
            "last_seen": "2026-01-02T12:00:00.000000Z",
            "days": {"2026-01-01": 1, "2026-01-02": 1},
            "properties": [
                {"path": "properties.items", "types": {"array": 1}, "samples": [], "count": 1},
                {"path": "properties.items[]", "types": {"object": 2}, "samples": [], "count": 2},
                {
                    "path": "properties.items[].type",
                    "types": {"string": 2},
                    "samples": ["cable", "monitor"],
                    "count": 2,
                },
                {
                    "path": "properties.total",
                    "types": {"string": 1, "number": 1},
                    "samples": [5, "5"],
                    "count": 2,
                },
            ],
        }
    ]


def test_a_path_can_be_put_into_a_filter_as_it_is(given):
    given.messages(tracked(properties={"a b": {"c.d": [{"e": 1}]}}))
    for seen in types(given)[0]["properties"]:
        assert given.names(where=[f"{seen['path']} exists"]) == ["Viewed"]


def test_only_what_happened_is_an_event_type(given):
    given.messages(
        with_payload(tracked("identify", kind="identify"), {"traits": {"plan": "pro"}}),
        with_payload(tracked("group", kind="group"), {}),
        with_payload(tracked("alias", kind="alias"), {}),
        with_payload(tracked("page_view", kind="page"), {"name": "Home"}),
        with_payload(tracked("screen_view", kind="screen"), {}),
        tracked("Deployed", identifiers=()),
    )
    assert [(it["name"], it["kind"]) for it in types(given)] == [
        ("Deployed", "track"),
        ("page_view", "page"),
        ("screen_view", "screen"),
    ]


def test_names_are_found_by_their_beginning_in_any_case(given):
    given.messages(
        *(tracked(name) for name in ("Product Viewed", "product_added", "Order", "100%"))
    )
    assert [it["name"] for it in types(given, q="PROD")] == ["Product Viewed", "product_added"]
    assert [it["name"] for it in types(given, q="%")] == []


def test_names_come_in_pages(given):
    given.messages(*(tracked(f"e-{i}") for i in range(5)))
    page = given.ask("/event-types", limit=2)
    found = [page]
    while page["next"]:
        page = given.ask("/event-types", limit=2, cursor=page["next"])
        found.append(page)
    assert [[it["name"] for it in page["event_types"]] for page in found] == [
        ["e-0", "e-1"],
        ["e-2", "e-3"],
        ["e-4"],
    ]


def test_the_latest_thirty_days_are_shown(given):
    given.messages(*(tracked(occurred_at=NOON + timedelta(days=i)) for i in range(40)))
    days = list(types(given)[0]["days"])
    assert (days[0], days[-1], len(days)) == ("2026-01-11", "2026-02-09", 30)


def test_the_first_paths_of_their_order_are_kept_and_count_from_the_first_event(given):
    given.messages(tracked(properties={f"k{i:03}": 1 for i in range(100, 100 + MAX_PATHS)}))
    for start in (0, 50):
        given.messages(tracked(properties={f"k{i:03}": 1 for i in range(start, start + 50)}))
        given.messages(tracked(properties={"k399": 1, "zz": 1}))
    properties = types(given)[0]["properties"]
    assert [it["path"] for it in properties] == [f"properties.k{i:03}" for i in range(MAX_PATHS)]
    assert {it["count"] for it in properties} == {1}


def test_a_cursor_of_another_kind_is_refused(given):
    with pytest.raises(InvalidRequest):
        types(given, cursor="%")


def test_a_workspace_without_events_has_no_types(given):
    assert given.ask("/event-types") == {"event_types": [], "next": None, "projected_to": 0}
