"""Segment's messages: event times from clocks that may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.wire.given import (
    RECEIVED,
    accepted,
    track,
)


def at(*fields):
    return datetime(*fields, tzinfo=UTC)


def test_a_wrong_clock_is_corrected_with_the_sent_time():
    sent, event_time = "2020-01-01T00:00:10.000Z", "2020-01-01T00:00:00.000Z"
    for message in (
        accepted(track(timestamp=event_time), sentAt=sent),
        accepted(track(timestamp=event_time, sentAt=sent)),
        accepted(track(timestamp=event_time, sentAt=sent), sentAt="2020-06-01T00:00:00.000Z"),
        accepted(track(originalTimestamp=event_time, timestamp="2001-01-01"), sentAt=sent),
    ):
        assert message.occurred_at == RECEIVED - timedelta(seconds=10)
        assert message.sent_at == at(2020, 1, 1, 0, 0, 10)
        assert message.received_at == RECEIVED


def test_without_a_sent_time_the_client_s_time_is_used():
    message = accepted(track(timestamp="2020-01-01T00:00:00.000Z"))
    assert (message.occurred_at, message.sent_at) == (at(2020, 1, 1), None)


@pytest.mark.parametrize("timestamp", [None, "soon", "9999-01-01T00:00:00Z", True, [], {}, -5])
def test_an_unusable_time_is_replaced_by_the_server_s(timestamp):
    assert accepted(track(timestamp=timestamp)).occurred_at == RECEIVED
    assert accepted(track(timestamp="2020-01-01", sentAt=timestamp)).occurred_at == at(2020, 1, 1)


def test_times_may_be_seconds_or_milliseconds():
    assert accepted(track(timestamp=1577836800)).occurred_at == at(2020, 1, 1)
    assert accepted(track(timestamp="1577836800000")).occurred_at == at(2020, 1, 1)
    event_time = accepted(track(timestamp=1577836800), sentAt=1577836810.0).occurred_at
    assert event_time == RECEIVED - timedelta(seconds=10)


def test_an_event_in_the_future_gets_the_received_time():
    assert accepted(track(timestamp="2050-01-01T00:00:00Z")).occurred_at == RECEIVED
    late = track(timestamp="2020-01-01T00:00:10Z")
    assert accepted(late, sentAt="2020-01-01T00:00:00Z").occurred_at == RECEIVED
