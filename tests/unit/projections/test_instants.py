from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.core.errors import InvalidRequest
from domain.core.time import format_utc, format_utc_or_none
from projections.kit import instants


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-01-31", "UTC", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31", "Europe/Berlin", "2026-01-30T23:00:00.000000Z"),
        ("2026-07-31", "Europe/Berlin", "2026-07-30T22:00:00.000000Z"),
        ("2026-01-31T10:00", "America/New_York", "2026-01-31T15:00:00.000000Z"),
        ("2026-01-31 10:00:00.25", "UTC", "2026-01-31T10:00:00.250000Z"),
        ("2026-01-31T10:00:00Z", "Europe/Berlin", "2026-01-31T10:00:00.000000Z"),
        ("2026-01-31T10:00:00+02:00", "Europe/Berlin", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-31T10:00:00 02:00", "UTC", "2026-01-31T08:00:00.000000Z"),
        (" 2026-01-31 ", "UTC", "2026-01-31T00:00:00.000000Z"),
    ],
)
def test_a_time_is_an_instant_or_local_to_the_zone(text, zone, utc):
    assert format_utc(instants.parse_instant(text, instants.parse_zone(zone), "from")) == utc


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00", "1767225600"]
)
def test_what_is_no_time_is_refused_with_what_to_write(text):
    with pytest.raises(InvalidRequest, match="from is neither a date nor a time") as refused:
        instants.parse_instant(text, UTC, "from")
    assert refused.value.details == {"from": text}


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "a\0b", "Europe"]
)
def test_what_is_no_zone_is_refused(name):
    with pytest.raises(InvalidRequest, match="IANA name"):
        instants.parse_zone(name)


def test_instants_are_shown_in_utc_with_microseconds():
    moment = datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2)))
    assert format_utc(moment) == "2026-01-31T08:00:00.000000Z"
    assert format_utc_or_none(None) is None


@pytest.mark.parametrize("text", ["", "-1", "4.2", "1e3", "now", "2026-13-01"])
def test_an_invalid_point_is_refused_with_the_accepted_forms(text):
    with pytest.raises(InvalidRequest, match="as_of is neither a position"):
        instants.parse_position_or_instant(text, "as_of")


def test_a_place_of_the_ledger_is_a_position_or_an_instant():
    assert instants.parse_position_or_instant("42", "as_of") == 42
    assert instants.parse_position_or_instant("9" * 30, "as_of") == 2**63 - 1
    assert instants.parse_position_or_instant("2026-01-31", "as_of") == datetime(
        2026, 1, 31, tzinfo=UTC
    )
