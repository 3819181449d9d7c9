"""Segment's messages: kinds and event names."""

from __future__ import annotations

import pytest

from tests.unit.wire.given import (
    ANONYMOUS,
    RECEIVED,
    USER,
    accepted,
    rejected,
    track,
    written,
)


def test_a_track_message_has_an_event_name_and_identifiers():
    item = track(event=" Order Completed ", anonymousId="a-1", properties={"total": 12.5})
    message = accepted(item)
    assert (message.kind, message.name, message.message_id) == ("track", "Order Completed", "m-1")
    assert message.identifiers == (USER, ANONYMOUS)
    assert message.linked
    assert message.source == "segment"
    assert message.occurred_at == message.received_at == RECEIVED
    assert message.payload == written(item)
    assert message.raw == b""


@pytest.mark.parametrize(
    ("fields", "kind", "name"),
    [
        ({"type": "page", "name": "Home"}, "page", "page_view"),
        ({"type": "screen", "name": "Home"}, "screen", "screen_view"),
        ({"type": "identify", "traits": {"plan": "pro"}}, "identify", "identify"),
        ({"type": "group", "groupId": "g-1"}, "group", "group"),
        ({"type": "alias", "previousId": "a-1"}, "alias", "alias"),
        ({"type": "TRACK"}, "track", "Viewed"),
        ({"type": " Identify "}, "identify", "identify"),
    ],
)
def test_every_type_has_its_kind_and_event_name(fields, kind, name):
    message = accepted(track(**fields))
    assert (message.kind, message.name) == (kind, name)
    assert message.identifiers == (USER,)


@pytest.mark.parametrize("type_", ["merge", "", None, 7, [], ..., "tracks"])
def test_another_type_is_rejected(type_):
    assert rejected(track(type=type_)).code == "unknown_type"


@pytest.mark.parametrize("event", ["", "  ", None, 7, {"a": 1}, ..., True])
def test_a_track_needs_an_event_name(event):
    rejection = rejected(track(event=event))
    assert rejection.code == "missing_event"
    assert rejection.message_id == "m-1"


def test_characters_of_an_event_name_that_cannot_be_stored_are_replaced():
    assert accepted(track(event="a\0b")).name == "a\ufffdb"
    assert accepted(track(event="\ud83d")).name == "\ufffd"
    assert accepted(track(event="ü" * 512)).name == "ü" * 512
    assert rejected(track(event="ü" * 513)).code == "event_name_too_long"
