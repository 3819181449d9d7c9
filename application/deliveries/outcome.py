"""Outcome of a delivery attempt: delivered, scheduled for a retry, or given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from application.deliveries.webhooks import WebhookResponse
from application.ledger.append.prepared import Receipt
from application.ledger.tables.leases import Attempt, LeasedDelivery
from domain.delivery.retry_policy import backoff, next_attempt

STATUS_GONE = 410


class EndpointHealth(Enum):
    """What an attempt shows about its endpoint."""

    HEALTHY = "healthy"
    """It acknowledged the delivery."""

    FAILING = "failing"
    """It did not answer, or refused the delivery."""

    NOT_AFFECTED = "not_affected"
    """Nothing: the attempt did not reach it, or failed for a reason of ours."""


class AttemptOutcome(NamedTuple):
    """An attempt, as it is stored, and what it shows about the endpoint."""

    attempt: Attempt
    endpoint_health: EndpointHealth = EndpointHealth.NOT_AFFECTED
    endpoint_gone: bool = False
    """Whether it answered 410 Gone, which disables it."""


def from_response(
    delivery: LeasedDelivery, response: WebhookResponse, now: datetime
) -> AttemptOutcome:
    """Returns the outcome of a webhook; ``now`` is when the response was complete."""
    began = now - timedelta(seconds=response.seconds)
    if response.is_success:
        health = EndpointHealth.HEALTHY
        attempt = Attempt(delivery, "delivered", delivery.step, None, None, began, response.seconds)
    else:
        health = EndpointHealth.FAILING
        error = response.error or f"answered {response.status}"
        attempt = _retry_or_give_up(
            delivery, error, began, now, response.seconds, response.retry_after
        )
    attempt = attempt._replace(
        status=response.status, error=response.error, reply=response.body or None
    )
    return AttemptOutcome(attempt, health, response.status == STATUS_GONE)


def from_receipt(delivery: LeasedDelivery, receipt: Receipt, now: datetime) -> AttemptOutcome:
    """Returns the outcome of a ledger command."""
    error = None
    if receipt.suppressed:
        error = "the profile is suppressed; nothing is recorded"
    elif receipt.rejected:
        error = "rejected by the ledger; see /v1/rejected"
    return (
        permanent_failure(delivery, error, now)
        if error
        else AttemptOutcome(Attempt(delivery, "delivered", 0, None, None, now, 0))
    )


def permanent_failure(delivery: LeasedDelivery, error: str, now: datetime) -> AttemptOutcome:
    """Returns the outcome of a delivery that would fail again: it is given up."""
    return AttemptOutcome(
        Attempt(delivery, "failed", delivery.step, None, error, now, 0, error=error)
    )


def retryable_failure(delivery: LeasedDelivery, error: str, now: datetime) -> AttemptOutcome:
    """Returns the outcome of a delivery that failed for a reason of ours: it is retried."""
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
