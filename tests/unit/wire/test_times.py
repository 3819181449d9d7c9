from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.wire.times import EPOCH, correct_clock_skew, parse_time

instants = st.integers(0, 4_133_000_000 * 10**6).map(
    lambda microseconds: EPOCH + timedelta(microseconds=microseconds)
)
anything = st.datetimes(timezones=st.just(UTC))


def at(*fields):
    return datetime(*fields, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-03-04T05:06:07.890Z", at(2025, 3, 4, 5, 6, 7, 890_000)),
        ("2025-03-04T05:06:07.890+00:00", at(2025, 3, 4, 5, 6, 7, 890_000)),
        ("2026-11-22T03:57:35.837632+00:00", at(2026, 11, 22, 3, 57, 35, 837_632)),
        ("2022-09-14T15:00:35.495+0000", at(2022, 9, 14, 15, 0, 35, 495_000)),
        ("2025-03-04T05:06:07Z", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04T05:06Z", at(2025, 3, 4, 5, 6)),
        ("2025-03-04T05:06:07.1234567899Z", at(2025, 3, 4, 5, 6, 7, 123_456)),
        ("2025-03-04T05:06:07,5Z", at(2025, 3, 4, 5, 6, 7, 500_000)),
        ("2025-03-04T07:06:07+02:00", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04T05:06:07z", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04t05:06:07Z", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04 05:06:07 UTC", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04 05:06:07 +0100", at(2025, 3, 4, 4, 6, 7)),
        ("2025-03-04 05:06:07", at(2025, 3, 4, 5, 6, 7)),
        ("  2025-03-04T05:06:07Z\n", at(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04", at(2025, 3, 4)),
        ("20250304T050607Z", at(2025, 3, 4, 5, 6, 7)),
        ("20250304", at(2025, 3, 4)),
        ("2025-W10-2", at(2025, 3, 4)),
        ("2024-12-31T24:00:00Z", at(2025, 1, 1)),
        ("2024-12-31T24:00", at(2025, 1, 1)),
        ("2016-12-31T23:59:60Z", at(2016, 12, 31, 23, 59, 59, 999_999)),
        ("2016-12-31T23:59:60.5Z", at(2016, 12, 31, 23, 59, 59, 999_999)),
        (1741064767, at(2025, 3, 4, 5, 6, 7)),
        (1741064767.25, at(2025, 3, 4, 5, 6, 7, 250_000)),
        (1741064767890, at(2025, 3, 4, 5, 6, 7, 890_000)),
        (1741064767890123, at(2025, 3, 4, 5, 6, 7, 890_123)),
        (1741064767890123456, at(2025, 3, 4, 5, 6, 7, 890_123)),
        ("1741064767", at(2025, 3, 4, 5, 6, 7)),
        ("1712010112345", at(2024, 4, 1, 22, 21, 52, 345_000)),
        ("1741064767.25", at(2025, 3, 4, 5, 6, 7, 250_000)),
        (0, EPOCH),
    ],
)
def test_every_time_format_of_clients_is_parsed(text, instant):
    assert parse_time(text) == instant
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None, True, [], {}, "", " ", "now", "2025", "7", "-1741064767", "2025-13-01", "2025-02-29", "2025-03-04T25:00Z",
        "2025-03-04T05:60Z", "2025-03-04T24:00:01Z", "2025-03-04T24:30Z", "2025-03-04T05:06:61Z",
        "2025-03-04T05:06:07+99:00", "2025-03-04T05:06:07-99:00", "2025-03-04-05:00",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "9999-12-31T24:00:00Z", "1969-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "10000-01-01",
        "1e400", "1e131071", "9" * 10_000, "NaN", "Infinity", -1, 1e300, float("nan"), float("inf"),
        10**40, -(10**40), "\u0662\u0660\u0662\u0665-03-04", "\ud800",
    ],
)  # fmt: skip
def test_an_invalid_or_implausible_time_is_none(text):
    assert parse_time(text) is None


@given(instants)
def test_a_formatted_time_is_parsed_back(instant):
    assert parse_time(instant.isoformat()) == instant
    assert parse_time(instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) == instant
    assert parse_time(instant.replace(tzinfo=None).isoformat(" ")) == instant
    elsewhere = instant.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert parse_time(elsewhere.isoformat()) == instant


@given(st.text() | st.floats() | st.integers() | st.none() | st.text("0123456789-:+.eTZ "))
def test_any_value_is_parsed_or_none(value):
    parsed = parse_time(value)
    assert parsed is None or 1970 <= parsed.year <= 2100


def test_a_wrong_clock_is_corrected():
    sent = at(2020, 1, 1, 12, 0, 10)  # five years slow, ten seconds after it happened
    assert correct_clock_skew(at(2025, 1, 1), sent, at(2020, 1, 1, 12)) == at(
        2024, 12, 31, 23, 59, 50
    )


def test_without_a_sent_time_no_correction_is_made():
    assert correct_clock_skew(at(2025, 1, 1), None, at(2020, 1, 1)) == at(2020, 1, 1)
    assert correct_clock_skew(at(2025, 1, 1), None, at(2026, 1, 1)) == at(2025, 1, 1)


def test_a_result_before_1970_is_replaced_by_the_received_time():
    assert correct_clock_skew(at(2025, 1, 1), at(2100, 1, 1), at(1971, 1, 1)) == at(2025, 1, 1)


@given(instants, st.none() | anything, anything)
def test_no_event_is_later_than_its_received_time(received, sent, original):
    assert EPOCH <= correct_clock_skew(received, sent, original) <= received


@given(instants, instants, instants, st.timedeltas(timedelta(days=-9999), timedelta(days=9999)))
def test_the_size_of_the_clock_error_makes_no_difference(received, sent, original, error):
    assert correct_clock_skew(received, sent, original) == correct_clock_skew(
        received, sent + error, original + error
    )


@given(instants, instants, st.lists(st.timedeltas(timedelta(0), timedelta(days=30)), max_size=5))
def test_a_client_s_order_is_kept(received, sent, ages):
    ages = sorted(age for age in ages if received - age >= EPOCH and sent - age >= EPOCH)
    times = [correct_clock_skew(received, sent, sent - age) for age in ages]
    assert times == [received - age for age in ages]
