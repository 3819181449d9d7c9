"""What an attempt comes to: done, tried again at a time, or given up, with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from application.deliveries.webhooks import WebhookResponse
from application.ledger.append.prepared import Receipt
from application.ledger.tables.leases import Attempt, LeasedDelivery
from domain.delivery.retry_policy import backoff, next_attempt

STATUS_GONE = 410


class AttemptOutcome(NamedTuple):
    """An attempt, and what it says of the endpoint."""

    attempt: Attempt
    endpoint_health: bool | None = None
    """Whether the endpoint took it; None: that is not for it to answer for."""

    endpoint_gone: bool = False


def from_response(
    delivery: LeasedDelivery, response: WebhookResponse, now: datetime
) -> AttemptOutcome:
    """Return what a receiver's reply comes to; ``now`` is when it came."""
    began = now - timedelta(seconds=response.seconds)
    if response.is_success:
        attempt = Attempt(delivery, "delivered", delivery.step, None, None, began, response.seconds)
    else:
        error = response.error or f"answered {response.status}"
        attempt = _retry_or_give_up(
            delivery, error, began, now, response.seconds, response.retry_after
        )
    attempt = attempt._replace(
        status=response.status, error=response.error, reply=response.body or None
    )
    return AttemptOutcome(attempt, response.is_success, response.status == STATUS_GONE)


def from_receipt(delivery: LeasedDelivery, receipt: Receipt, now: datetime) -> AttemptOutcome:
    """Return what became of a command that was recorded."""
    error = None
    if receipt.suppressed:
        error = "nothing is recorded about this person, for they are suppressed"
    elif receipt.rejected:
        error = "the ledger refused it: see what was rejected"
    return (
        permanent_failure(delivery, error, now)
        if error
        else AttemptOutcome(Attempt(delivery, "delivered", 0, None, None, now, 0))
    )


def permanent_failure(delivery: LeasedDelivery, error: str, now: datetime) -> AttemptOutcome:
    """Return the end of a delivery that would fail again."""
    return AttemptOutcome(
        Attempt(delivery, "failed", delivery.step, None, error, now, 0, error=error)
    )


def retryable_failure(delivery: LeasedDelivery, error: str, now: datetime) -> AttemptOutcome:
    """Return what a delivery comes to that failed for a reason of our own."""
    return AttemptOutcome(
        _retry_or_give_up(delivery, error, now, now, 0, None)._replace(error=error)
    )


def _retry_or_give_up(  # noqa: PLR0917 - one caller each
    delivery: LeasedDelivery,
    error: str,
    began: datetime,
    now: datetime,
    seconds: float,
    retry_after: timedelta | None,
) -> Attempt:
    step = next_attempt(delivery.step, delivery.attempts + 1, retry_after)
    wait = backoff(delivery.id, step, retry_after)
    if wait is None:
        reason = f"given up after {delivery.attempts + 1} attempts, the last one: {error}"
        return Attempt(delivery, "failed", step, None, reason, began, seconds)
    return Attempt(delivery, "waiting", step, now + wait, error, began, seconds)
