"""Retry policy of deliveries: when a failed one is retried and when an endpoint is disabled.

The schedule is that of Standard Webhooks.  A receiver can ask for another time by Retry-After.
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
"""Delays between attempts: the first attempt has none, and the last delay precedes the last attempt."""

JITTER = 0.1
"""Largest random change of a delay, as a share of it, so that joint failures are not retried jointly."""

MIN_RETRY_AFTER, MAX_RETRY_AFTER = timedelta(seconds=1), timedelta(hours=24)
"""Bounds to which a Retry-After is clamped."""

RETRY_AFTER_ATTEMPT_LIMIT = 50
"""From this many attempts on, a Retry-After uses up a step of the schedule like any other failure."""

DISABLE_AFTER = timedelta(days=5)
"""An endpoint that has failed without a success for this long is disabled."""


def next_attempt(step: int, attempts: int, retry_after: timedelta | None) -> int:
    """Returns the step of the schedule after a failure: how many of `RETRY_DELAYS` are used up.

    ``attempts`` counts those made so far, the failed one included.  A delay that the receiver asked
    for uses up none: an overloaded receiver that answers with Retry-After loses no attempt.
    """
    return step if retry_after is not None and attempts < RETRY_AFTER_ATTEMPT_LIMIT else step + 1


def backoff(delivery: UUID, step: int, retry_after: timedelta | None) -> timedelta | None:
    """Returns the delay before the next attempt; None after the last one.

    ``step`` is the result of `next_attempt`.  The jitter is a function of delivery and step.
    """
    if step > len(RETRY_DELAYS):
        return None
    if retry_after is not None:
        return retry_after
    text = delivery.bytes + step.to_bytes(2)
    share = int.from_bytes(blake2b(text, digest_size=4).digest()) / (2**32 - 1)
    return RETRY_DELAYS[step - 1] * (1 + JITTER * (2 * share - 1))


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Returns the delay of a Retry-After header, clamped to its bounds; None if it is not valid."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        delay = timedelta(seconds=min(int(text[:12]), MAX_RETRY_AFTER.total_seconds()))
    else:
        try:
            instant = parsedate_to_datetime(text)
            delay = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return min(max(delay, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
