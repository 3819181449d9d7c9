"""Deliveries are queued in the transaction of their event, once each, also invalid ones."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from application.ledger.tables.outbox import COMMAND_QUEUE, NewDelivery, enqueue
from tests.builders import NOON
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

ALL = "SELECT id, lane, state, attempts, due_at FROM ledger.delivery ORDER BY id"


def delivery(number: int = 1, **fields: Any) -> NewDelivery:
    welcome = NewDelivery(
        id=UUID(int=number),
        rule="welcome",
        version=1,
        cause="position 7",
        profile_stream=UUID(int=100),
        action=b'{"webhook": {"endpoint": "crm"}}',
        context=b'{"event": {}, "customer": {}}',
        due_at=NOON,
    )
    return welcome._replace(**fields)


def test_the_same_delivery_is_queued_once(bench: Bench) -> None:
    with bench.store.raw_connection() as connection:
        enqueue(connection, bench.workspace, [delivery(1), delivery(2)])
        enqueue(connection, bench.workspace, [delivery(2), delivery(3, profile_stream=None)])
        enqueue(connection, bench.workspace, [])
    assert bench.sql(ALL) == [(UUID(int=n), "crm", "waiting", 0, NOON) for n in (1, 2, 3)]


def test_none_is_queued_if_the_transaction_is_rolled_back(bench: Bench) -> None:
    with bench.store.raw_connection() as connection, connection.transaction(force_rollback=True):
        enqueue(connection, bench.workspace, [delivery()])
    assert bench.sql(ALL) == []


@pytest.mark.parametrize(
    ("action", "queue"),
    [
        (b'{"webhook": {"endpoint": "crm", "body": "x"}}', "crm"),
        (b'{"send_event": {"name": "Welcomed"}}', COMMAND_QUEUE),
        (b'{"webhook": {}}', COMMAND_QUEUE),
        (b'{"webhook": {"endpoint": 7}}', COMMAND_QUEUE),
        (b'{"webhook": {"endpoint": "\\u0000"}}', "\ufffd"),
        (b"no JSON", COMMAND_QUEUE),
        (b"[]", COMMAND_QUEUE),
        (b"", COMMAND_QUEUE),
    ],
)
def test_an_invalid_action_is_queued_too(bench: Bench, action: bytes, queue: str) -> None:
    with bench.store.raw_connection() as connection:
        enqueue(connection, bench.workspace, [delivery(action=action, cause="a\0b")])
    assert [row[1] for row in bench.sql(ALL)] == [queue]
