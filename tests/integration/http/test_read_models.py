"""Queries of the registered read models over HTTP."""

from __future__ import annotations

import re

import pytest

from tests.builders import NOON, anonymous, tracked, user

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HOSTILE = ["%00", "%F0%9F%98%80", "%ff", "'", '"', "\\", "{}", "..", "%2F%2F", "x" * 5000, "-1"]


@pytest.fixture
def known(served):
    position = served.record(
        tracked("Viewed", user("u/1"), message_id="m-1", properties={"total": 150}),
        tracked("Bought", user("u/1"), message_id="m-2", properties={"total": 50}),
        tracked("Viewed", anonymous("a-1"), message_id="m-3"),
    ).position
    served.project()
    return position


@pytest.mark.smoke
def test_events_are_listed_newest_first_with_their_facts(served, known):
    answer = served.get(f"/v1/events?min_position={known}").json()
    assert answer["projected_to"] == known
    assert [item["message_id"] for item in answer["events"]] == ["m-3", "m-2", "m-1"]
    event = answer["events"][2]
    assert event.keys() >= {
        *("id", "position", "message_id", "kind", "name", "profile_id", "occurred_at"),
        *("received_at", "recorded_at", "channel", "session_id", "source"),
    }
    assert event["occurred_at"] == "2026-01-01T12:00:00.000000Z"
    assert all(TIME.fullmatch(event[item]) for item in ("received_at", "recorded_at"))


def test_filters_may_be_combined(served, known):
    answer = served.get(
        "/v1/events",
        params={
            "name": "Viewed",
            "where": ["properties.total>100", "properties.total<200"],
            "from": NOON.isoformat(),
            "anonymous": "false",
        },
    )
    assert answer.status_code == 200, answer.text
    assert [item["message_id"] for item in answer.json()["events"]] == ["m-1"]


def test_a_page_leads_to_the_next(served, known):
    first = served.get("/v1/events?limit=2").json()
    second = served.get("/v1/events", params={"limit": 2, "cursor": first["next"]}).json()
    assert [item["message_id"] for item in first["events"] + second["events"]] == [
        "m-3",
        "m-2",
        "m-1",
    ]
    assert second["next"] is None


def test_an_event_is_shown_as_received(served, known):
    listed = served.get("/v1/events").json()["events"][2]
    detail = served.get(f"/v1/events/{listed['id']}").json()
    assert detail["payload"]["messageId"] == "m-1"
    assert detail["profile_id"] == listed["profile_id"]


def test_a_profile_is_found_by_an_identifier_with_a_slash_and_by_its_id(served, known):
    by_name = served.get("/v1/profiles/user_id:u%2F1/timeline?derived=false").json()
    assert [item["message_id"] for item in by_name["timeline"]] == ["m-2", "m-1"]
    profile_id = by_name["timeline"][0]["profile_id"]
    assert served.get(f"/v1/profiles/{profile_id}/timeline?derived=false").json() == by_name


def test_event_types_are_listed(served, known):
    found = served.get("/v1/event-types").json()["event_types"]
    assert {item["name"]: item["count"] for item in found} == {"Viewed": 2, "Bought": 1}


def test_an_event_of_another_workspace_is_answered_like_an_unknown_one(served, known):
    event_id = served.get("/v1/events").json()["events"][0]["id"]
    unknown_id = "00000000-0000-0000-0000-000000000001"
    other = served.service.workspaces.create("other").id
    served.keys["read"] = served.service.keys.create(other, "read").text
    assert served.get("/v1/events").json()["events"] == []
    assert served.get("/v1/event-types").json()["event_types"] == []
    theirs, none = (served.get(f"/v1/events/{item}") for item in (event_id, unknown_id))
    assert (theirs.status_code, none.status_code) == (404, 404)
    assert theirs.text.replace(event_id, unknown_id) == none.text
    assert served.get("/v1/profiles/user_id:u%2F1/timeline").status_code == 404


@pytest.mark.parametrize("value", HOSTILE)
def test_no_parameter_value_causes_an_internal_error(shared, value):
    for path, methods in shared.app.api.openapi()["paths"].items():
        operation = methods.get("get")
        if operation is None or not path.startswith("/v1/"):
            continue
        for parameter in operation.get("parameters", ()):
            name = parameter["name"]
            if parameter["in"] == "path":
                filled = re.sub(rf"{{{name}}}", lambda _: value, path)
            else:
                filled = f"{re.sub(r'{.*?}', 'user_id:x', path)}?{name}={value}"
            answer = shared.get(filled, "admin")
            assert answer.status_code in {200, 400, 404}, (filled[:80], answer.text)
            if answer.status_code != 200:
                assert answer.json().keys() == {"code", "message", "details"}
