"""What an attempt comes to: done, tried again at a time, or given up, with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from application.deliveries.webhooks import Reply
from application.ledger.append.prepared import Receipt
from application.ledger.tables.leases import Attempt, Leased
from domain.delivery.retry_policy import delay, next_step

GONE = 410


class Verdict(NamedTuple):
    """An attempt, and what it says of the endpoint."""

    attempt: Attempt
    is_well: bool | None = None
    """Whether the endpoint took it; None: that is not for it to answer for."""

    is_gone: bool = False


def of_reply(it: Leased, reply: Reply, now: datetime) -> Verdict:
    """Return what a receiver's reply comes to; ``now`` is when it came."""
    began = now - timedelta(seconds=reply.seconds)
    if reply.is_taken:
        found = Attempt(it, "delivered", it.step, None, None, began, reply.seconds)
    else:
        why = reply.error or f"answered {reply.status}"
        found = _again(it, why, began, now, reply.seconds, reply.asked)
    found = found._replace(status=reply.status, error=reply.error, reply=reply.body or None)
    return Verdict(found, reply.is_taken, reply.status == GONE)


def of_receipt(it: Leased, receipt: Receipt, now: datetime) -> Verdict:
    """Return what became of a command that was recorded."""
    why = None
    if receipt.suppressed:
        why = "nothing is recorded about this person, for they are suppressed"
    elif receipt.rejected:
        why = "the ledger refused it: see what was rejected"
    return (
        of_fault(it, why, now) if why else Verdict(Attempt(it, "delivered", 0, None, None, now, 0))
    )


def of_fault(it: Leased, why: str, now: datetime) -> Verdict:
    """Return the end of a delivery that would fail again."""
    return Verdict(Attempt(it, "failed", it.step, None, why, now, 0, error=why))


def of_trouble(it: Leased, why: str, now: datetime) -> Verdict:
    """Return what a delivery comes to that failed for a reason of our own."""
    return Verdict(_again(it, why, now, now, 0, None)._replace(error=why))


def _again(  # noqa: PLR0917 - one caller each
    it: Leased, why: str, began: datetime, now: datetime, seconds: float, asked: timedelta | None
) -> Attempt:
    step = next_step(it.step, it.attempts + 1, asked)
    wait = delay(it.id, step, asked)
    if wait is None:
        reason = f"given up after {it.attempts + 1} attempts, the last one: {why}"
        return Attempt(it, "failed", step, None, reason, began, seconds)
    return Attempt(it, "waiting", step, now + wait, why, began, seconds)
