"""Times have one format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from interfaces.http.kit.json_response import rfc3339


@pytest.mark.parametrize(
    ("instant", "spelling"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
        (
            datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-01T22:00:00.000000Z",
        ),
    ],
)
def test_an_instant_is_utc_with_microseconds(instant, spelling):
    assert rfc3339(instant) == spelling
