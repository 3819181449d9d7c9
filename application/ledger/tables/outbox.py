"""Outbox: deliveries queued in the transaction of the event that causes them.

None is lost, and none is queued twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.core import sanitise
from domain.core.errors import InvalidRequest
from domain.rules.actions import decode_action

COMMAND_QUEUE = "commands"
"""The queue of all actions that become commands to the ledger; no endpoint has this id."""

_ENQUEUE = """
INSERT INTO ledger.delivery
    (workspace, id, rule, version, cause, person, lane, action, context, due_at)
SELECT %s, new.* FROM unnest(
    %s::uuid[], %s::text[], %s::integer[], %s::text[], %s::uuid[], %s::text[],
    %s::bytea[], %s::bytea[], %s::timestamptz[]
) AS new
ON CONFLICT (workspace, id) DO NOTHING
"""


class NewDelivery(NamedTuple):
    """A delivery to be queued: one action of a rule or subscription."""

    id: UUID
    """Deterministic: a digest of (rule, version, cause, index of the action); also the ``webhook-id``."""

    rule: str
    """The rule's id, or ``stream:`` and the id of a subscription."""

    version: int
    cause: str
    """Key of the trigger: see `domain.evaluation.rule_runs`."""

    profile_stream: UUID | None
    """One of the profile's streams, None without a profile; erasing the profile blanks the delivery."""

    action: bytes
    """JSON with one member, the action's key: see `domain.rules.actions`."""

    context: bytes
    """JSON for templates: ``event``, ``customer``, ``client``; ``depth`` counts the rules that led here."""

    due_at: datetime


def enqueue(connection: Connection[Any], workspace: int, deliveries: Sequence[NewDelivery]) -> None:
    """Queues deliveries in the caller's transaction; an id that exists adds nothing.

    Invalid actions are queued too: the worker reports them, and the trigger stays recorded.
    """
    if deliveries:
        # Sorted by id: transactions that insert in different orders would deadlock.
        rows = [_row(delivery) for delivery in sorted(deliveries, key=lambda new: new.id)]
        connection.execute(_ENQUEUE, (workspace, *map(list, zip(*rows, strict=True))))


def _row(delivery: NewDelivery) -> tuple[Any, ...]:
    return (
        delivery.id,
        delivery.rule,
        delivery.version,
        sanitise.storable_text(delivery.cause),
        delivery.profile_stream,
        queue_of(delivery.action),
        delivery.action,
        delivery.context,
        delivery.due_at,
    )


def queue_of(action: bytes) -> str:
    """Returns the queue of an action: its endpoint's id, or `COMMAND_QUEUE`."""
    try:
        return sanitise.storable_text(decode_action(action).endpoint_id or COMMAND_QUEUE)
    except InvalidRequest:
        return COMMAND_QUEUE
