"""When a delivery that was not taken is tried again, and when an endpoint is given up.

The schedule is that of Standard Webhooks.  Whoever is sent to may ask for another time by Retry-After.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from uuid import UUID

RETRY_DELAYS: Sequence[timedelta] = (
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

MIN_RETRY_AFTER, MAX_RETRY_AFTER = timedelta(seconds=1), timedelta(hours=24)
"""What a Retry-After is held to."""

RETRY_AFTER_ATTEMPT_LIMIT = 50
"""Attempts after which a Retry-After uses up a step of the schedule like any other failure."""

DISABLE_AFTER = timedelta(days=5)
"""For how long an endpoint may do nothing but fail until nothing is sent to it any more."""


def next_attempt(step: int, attempts: int, retry_after: timedelta | None) -> int:
    """Return the step of the schedule after a failure; ``attempts`` counts those made, this one included.

    A time that the receiver asked for uses up none: an overloaded receiver that says so loses nothing.
    """
    return step if retry_after is not None and attempts < RETRY_AFTER_ATTEMPT_LIMIT else step + 1


def backoff(delivery: UUID, step: int, retry_after: timedelta | None) -> timedelta | None:
    """Return how long to wait after a failure that led to this step; None: it was the last attempt."""
    if step > len(RETRY_DELAYS):
        return None
    if retry_after is not None:
        return retry_after
    text = delivery.bytes + step.to_bytes(2)
    share = int.from_bytes(blake2b(text, digest_size=4).digest()) / (2**32 - 1)
    return RETRY_DELAYS[step - 1] * (1 + JITTER * (2 * share - 1))


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Return how long a Retry-After asks to wait, within bounds; None if it says nothing that can be read."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        wanted = timedelta(seconds=min(int(text[:12]), MAX_RETRY_AFTER.total_seconds()))
    else:
        try:
            at = parsedate_to_datetime(text)
            wanted = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return min(max(wanted, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
