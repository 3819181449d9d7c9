"""Subscriptions: each event is enqueued once, in order, by however many followers."""

from __future__ import annotations

import threading

import psycopg
import pytest

from application.definitions.store import CommandContext
from application.ledger.tables import subscriptions as subscription_table
from domain.delivery import event_filter
from domain.delivery.event_filter import integrations_allow
from domain.delivery.outbound import outbound_version
from tests.builders import anonymous, tracked, user
from tests.integration.deliveries.outbound import Outbound

pytestmark = pytest.mark.storage

BY = CommandContext("key-1")


def subscribe(outbound: Outbound, after: int | None = None, id_: str = "all", **fields) -> None:
    if not outbound.secrets:
        outbound.endpoint("https://example.com/")
    definition = event_filter.parse_subscription({"endpoint": "crm", **fields})
    outbound.deliveries.subscriptions.create(
        outbound.workspace, id_, outbound_version(definition), BY, after=after
    )


def causes(outbound: Outbound) -> list[str]:
    rows = outbound.bench.sql(
        "SELECT cause FROM ledger.delivery ORDER BY created_at, due_at, cause"
    )
    return sorted((cause for (cause,) in rows), key=lambda cause: int(cause.split()[1]))


def follow(outbound: Outbound) -> None:
    while outbound.deliveries.subscriptions.enqueue_new_events():
        pass


def test_a_new_subscription_begins_at_the_ledger_head_or_a_given_position(
    outbound: Outbound,
) -> None:
    outbound.bench.record(tracked(), tracked())
    subscribe(outbound)
    subscribe(outbound, 1, "from-one")
    outbound.bench.record(tracked())
    follow(outbound)
    assert causes(outbound) == ["position 2", "position 3", "position 3"]


def test_only_matching_events_are_sent(outbound: Outbound) -> None:
    subscribe(
        outbound,
        events=["Order Completed", {"matching": "Cart *"}],
        where=[{"path": "properties.total", "op": "gte", "value": 10}],
        kinds=["track"],
    )
    outbound.bench.record(
        tracked("Order Completed", properties={"total": 10}),
        tracked("Order Completed", properties={"total": 9}),
        tracked("Cart Viewed", properties={"total": 11}),
        tracked("Cart Viewed", kind="screen", properties={"total": 11}),
        tracked("Other", properties={"total": 11}),
    )
    follow(outbound)
    assert causes(outbound) == ["position 1", "position 3"]


@pytest.mark.parametrize(
    ("payload", "allowed"),
    [
        ("{}", True),
        ('{"integrations": {}}', True),
        ('{"integrations": {"All": true}}', True),
        ('{"integrations": {"All": false}}', False),
        ('{"integrations": {"All": false, "all": true}}', True),
        ('{"integrations": {"All": false, "Data Lake": {"x": 1}}}', True),
        ('{"integrations": {"Data Lake": false}}', False),
        ('{"integrations": {"all": false}}', False),
        ('{"integrations": {"Another": false}}', True),
        ('{"integrations": []}', True),
        ('{"integrations": null}', True),
        ('{"integrations": {"All": 0}}', True),
        ('{"integrations": ', True),
    ],
)
def test_a_message_may_exclude_destinations_by_its_integrations(
    payload: str, allowed: bool
) -> None:
    assert integrations_allow(payload.encode(), ("all", "Data Lake")) is allowed


def test_concurrent_followers_enqueue_each_event_once(outbound: Outbound) -> None:
    subscribe(outbound)
    outbound.bench.record(*(tracked() for _ in range(1_200)))
    followers = [threading.Thread(target=follow, args=(outbound,)) for _ in range(4)]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()
    follow(outbound)
    assert causes(outbound) == [f"position {number}" for number in range(1, 1_201)]


def test_a_batch_that_is_rolled_back_is_enqueued_once_later(
    outbound: Outbound, monkeypatch
) -> None:
    subscribe(outbound)
    outbound.bench.record(tracked(), tracked())

    def broken(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(subscription_table, "advance", broken)
        with pytest.raises(Exception, match="unreachable"):
            outbound.deliveries.subscriptions.enqueue_new_events()
    assert causes(outbound) == []
    follow(outbound)
    assert causes(outbound) == ["position 1", "position 2"]


def test_a_subscription_that_is_created_again_sends_its_events_again(outbound: Outbound) -> None:
    outbound.bench.record(tracked())
    subscribe(outbound, 0)
    follow(outbound)
    outbound.deliveries.subscriptions.archive(outbound.workspace, "all", BY)
    outbound.clock.move(seconds=1)
    subscribe(outbound, 0)
    follow(outbound)
    assert causes(outbound) == ["position 1", "position 1"]


def test_an_event_is_sent_as_lists_show_it(outbound: Outbound) -> None:
    subscribe(outbound)
    outbound.bench.record(tracked("Viewed", user("ann"), anonymous("a"), properties={"n": 1.50}))
    follow(outbound)
    [(context,)] = outbound.bench.sql("SELECT context FROM ledger.delivery")
    assert b'"identifier":{"kind":"user_id","value":"ann"}' in bytes(context)
    assert b'"properties":{"n":1.5}' in bytes(context)
