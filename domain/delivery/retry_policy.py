"""When a delivery that was not taken is tried again, and when an endpoint is given up.

The schedule is that of Standard Webhooks.  Whoever is sent to may ask for another time by Retry-After.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from uuid import UUID

DELAYS: Sequence[timedelta] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
"""From one attempt to the next; the first is made at once, and none follows the last."""

JITTER = 0.1
"""How much sooner or later than that, as a share: so that what failed together does not come together."""

SOONEST, LATEST = timedelta(seconds=1), timedelta(hours=24)
"""What a Retry-After is held to."""

MOST_ATTEMPTS = 50
"""Attempts after which a Retry-After uses up a step of the schedule like any other failure."""

GIVEN_UP_AFTER = timedelta(days=5)
"""For how long an endpoint may do nothing but fail until nothing is sent to it any more."""


def next_step(step: int, attempts: int, asked: timedelta | None) -> int:
    """Return the step of the schedule after a failure; ``attempts`` counts those made, this one included.

    A time that the receiver asked for uses up none: an overloaded receiver that says so loses nothing.
    """
    return step if asked is not None and attempts < MOST_ATTEMPTS else step + 1


def delay(delivery: UUID, step: int, asked: timedelta | None) -> timedelta | None:
    """Return how long to wait after a failure that led to this step; None: it was the last attempt."""
    if step > len(DELAYS):
        return None
    if asked is not None:
        return asked
    text = delivery.bytes + step.to_bytes(2)
    share = int.from_bytes(blake2b(text, digest_size=4).digest()) / (2**32 - 1)
    return DELAYS[step - 1] * (1 + JITTER * (2 * share - 1))


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Return how long a Retry-After asks to wait, within bounds; None if it says nothing that can be read."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        wanted = timedelta(seconds=min(int(text[:12]), LATEST.total_seconds()))
    else:
        try:
            at = parsedate_to_datetime(text)
            wanted = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return min(max(wanted, SOONEST), LATEST)
