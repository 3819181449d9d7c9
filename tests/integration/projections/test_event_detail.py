from __future__ import annotations

from base64 import b64encode
from datetime import timedelta

import msgspec
import pytest

from domain.core.errors import NotFound
from tests.builders import NOON, anonymous, tracked, user
from tests.integration.projections.history import with_payload


def detail(given, recorded):
    return given.ask("/events/{id}", id=str(recorded.event.id))


def test_an_event_is_shown_with_its_payload_exactly_as_received(given):
    received = b'{ "type":"track", "event":"Bought",\t"properties": {"total": 10.50, "id": 18446744073709551616}}'
    [recorded] = given.messages(with_payload(tracked("Bought"), received))

    event = detail(given, recorded)
    assert event["raw"] == received.decode()
    assert event["raw_encoding"] == "utf-8"
    assert event["payload"]["properties"] == {"total": 10.5, "id": 18446744073709551616}
    assert event["properties"] == {"total": 10.5, "id": "18446744073709551616"}


def test_an_event_has_its_four_times_and_its_places(given):
    message = tracked(
        occurred_at=NOON,
        sent_at=NOON + timedelta(seconds=1),
        received_at=NOON + timedelta(seconds=2, microseconds=3),
    )
    given.messages(tracked("Earlier"))
    [recorded] = given.messages(message)

    event = detail(given, recorded)
    assert event["occurred_at"] == "2026-01-01T12:00:00.000000Z"
    assert event["sent_at"] == "2026-01-01T12:00:01.000000Z"
    assert event["received_at"] == "2026-01-01T12:00:02.000003Z"
    assert event["recorded_at"] == "2026-10-28T12:00:00.002000Z"
    assert (event["position"], event["version"], event["projected_to"]) == (2, 1, 2)


def test_an_event_knows_its_session(given):
    def visit(hours):
        properties = {"session_id": "s-1", "channel": "web"}
        return tracked(occurred_at=NOON + timedelta(hours=hours), properties=properties)

    _, second, _ = given.messages(visit(0), visit(1), visit(2))
    session = detail(given, second)["session"]
    assert session == {
        it: value
        for it, value in given.ask("/sessions/{id}", id="s-1").items()
        if it != "projected_to"
    }
    assert (session["id"], session["channel"], session["events"]) == ("s-1", "web", 3)
    assert session["started_at"] == "2026-01-01T12:00:00.000000Z"
    assert session["ended_at"] == "2026-01-01T14:00:00.000000Z"


def test_an_event_without_session_has_none(given):
    [recorded] = given.messages(tracked())
    assert detail(given, recorded)["session"] is None
    assert detail(given, recorded)["sent_at"] is None


def test_an_event_shows_the_profile_as_it_was_then(given):
    def says(plan, *identifiers):
        message = tracked("identify", *identifiers, kind="identify")
        return with_payload(message, {"traits": {"plan": plan}})

    first, *_ = given.messages(
        says("free", user()),
        tracked("Viewed", user(), anonymous()),
        says("pro", user()),
    )
    [late] = given.messages(tracked("Seen", anonymous()))
    then = detail(given, first)["profile"]
    assert (then["attributes"], then["counts"]) == ({"plan": "free"}, {"identify": 1})
    assert then["identifiers"] == [{"kind": "user_id", "value": "u-1"}]
    now = detail(given, late)["profile"]
    assert now["counts"] == {"Seen": 1, "Viewed": 1, "identify": 2}
    assert [it["kind"] for it in now["identifiers"]] == ["user_id", "anonymous_id"]


def test_a_system_event_has_no_profile(given):
    [recorded] = given.messages(tracked(identifiers=()))
    assert detail(given, recorded)["profile"] is None


@pytest.mark.parametrize(
    ("received", "payload"),
    [
        (rb'{"properties":{"a":"\ud800"}}', {"properties": {"a": "\ufffd"}}),
        (rb'{"properties":{"a":"\u0000"}}', {"properties": {"a": "\0"}}),
        (rb'{"properties":{"a":1e400}}', {"properties": {"a": "1e400"}}),
        (b'{"properties":{"a":NaN}}', {"properties": {"a": "NaN"}}),
        (b'{"properties":"wrong"}', {"properties": "wrong"}),
        (b"no json at all", None),
    ],
)
def test_a_strange_payload_is_shown_and_given_exactly(given, received, payload):
    [recorded] = given.messages(with_payload(tracked(), received))
    event = detail(given, recorded)
    assert event["raw"] == received.decode()
    assert event["payload"] == payload


def test_bytes_that_are_no_text_are_given_in_base64(given):
    received = b'{"properties":{"a":"\xff"}}'
    [recorded] = given.messages(with_payload(tracked(), received))
    event = detail(given, recorded)
    assert (event["raw"], event["raw_encoding"]) == (b64encode(received).decode(), "base64")
    assert event["payload"] == {"properties": {"a": "\ufffd"}}


def test_what_was_received_is_shown_where_it_differs_from_the_canonical_payload(given):
    message = tracked("Bought", properties={"total": 1})
    as_json = msgspec.structs.replace(message, raw=b'{"name":"Bought","data":{"total":1}}')
    as_csv = msgspec.structs.replace(tracked("Bought", properties={"total": 1}), raw=b"Bought,1\n")
    first, second = given.messages(as_json, as_csv)

    assert detail(given, first)["payload"] == {"name": "Bought", "data": {"total": 1}}
    assert detail(given, second)["raw"] == "Bought,1\n"
    assert detail(given, second)["payload"]["properties"] == {"total": 1}


def test_an_event_that_is_not_there_or_elsewhere_or_erased_is_not_found(given):
    [recorded] = given.messages(tracked("Viewed", user()))
    with pytest.raises(NotFound):
        given.ask("/events/{id}", id="00000000-0000-0000-0000-000000000001")
    with pytest.raises(NotFound):
        given.ask("/events/{id}", id=str(recorded.event.id), workspace=2)
    given.feed.workspaces[1] = [recorded._replace(event=None)]
    with pytest.raises(NotFound):
        detail(given, recorded)
