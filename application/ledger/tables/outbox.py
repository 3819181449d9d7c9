"""What is to be sent, taken in with the event that says why: no delivery is lost, none is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection

from domain.core import sanitise

COMMAND_QUEUE = "commands"
"""The lane of all actions that enter the ledger again; no endpoint has this id."""

_ENQUEUE = """
INSERT INTO ledger.delivery
    (workspace, id, rule, version, cause, person, lane, action, context, due_at)
SELECT %s, asked.* FROM unnest(
    %s::uuid[], %s::text[], %s::integer[], %s::text[], %s::uuid[], %s::text[],
    %s::bytea[], %s::bytea[], %s::timestamptz[]
) AS asked
ON CONFLICT (workspace, id) DO NOTHING
"""


class NewDelivery(NamedTuple):
    """One action of a rule or stream that is to be done."""

    id: UUID
    """Deterministic: a digest of (rule, version, cause, index of the action).  It is the ``webhook-id`` too."""

    rule: str
    """The rule's id, or ``stream:`` and the id of an outbound stream."""

    version: int
    cause: str
    """What triggered it."""

    profile_stream: UUID | None
    """One of the streams of the person it is about: erasing them blanks it."""

    action: bytes
    """JSON with one member: ``webhook``, ``send_event``, ``set_attribute``, ``add_tag`` or ``remove_tag``."""

    context: bytes
    """JSON for templates: ``event``, ``customer``, ``client``; and ``depth``, how many rules led here."""

    due_at: datetime


class _Webhook(msgspec.Struct):
    endpoint: str


class _Action(msgspec.Struct):
    webhook: _Webhook | None = None


_action = msgspec.json.Decoder(_Action).decode


def enqueue(connection: Connection[Any], workspace: int, deliveries: Sequence[NewDelivery]) -> None:
    """Take deliveries in, in the transaction of the caller; those that are known already add nothing.

    What is wrong with an action is for the worker to say: the trigger stays recorded all the same.
    """
    if deliveries:
        # Sorted: in one order by everybody, or two would wait for each other.
        rows = [_row(it) for it in sorted(deliveries, key=lambda it: it.id)]
        connection.execute(_ENQUEUE, (workspace, *map(list, zip(*rows, strict=True))))


def _row(it: NewDelivery) -> tuple[Any, ...]:
    cause, lane = sanitise.storable_text(it.cause), sanitise.storable_text(queue_of(it.action))
    return (
        it.id,
        it.rule,
        it.version,
        cause,
        it.profile_stream,
        lane,
        it.action,
        it.context,
        it.due_at,
    )


def queue_of(action: bytes) -> str:
    """Return what an action queues for: its endpoint, or the ledger."""
    try:
        webhook = _action(action).webhook
    except msgspec.DecodeError:
        return COMMAND_QUEUE
    return COMMAND_QUEUE if webhook is None else webhook.endpoint
