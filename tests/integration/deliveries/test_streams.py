"""A stream takes each event in once, in order, whoever else follows it, and no rebuild moves it."""

from __future__ import annotations

import threading

import psycopg
import pytest

from domain.delivery import event_filter
from domain.delivery.event_filter import integrations_allow
from tests.builders import anonymous, tracked, user
from tests.integration.deliveries.conftest import Out

pytestmark = pytest.mark.storage


def stream(out: Out, after: int | None = None, id_: str = "all", **wanted) -> None:
    if not out.secrets:
        out.endpoint("https://example.com/")
    definition = event_filter.parse_subscription({"endpoint": "crm", **wanted})
    out.outgoing.subscriptions.create(out.workspace, id_, definition, after)


def causes(out: Out) -> list[str]:
    rows = out.bench.sql("SELECT cause FROM ledger.delivery ORDER BY created_at, due_at, cause")
    return sorted((cause for (cause,) in rows), key=lambda it: int(it.split()[1]))


def follow(out: Out) -> None:
    while out.outgoing.subscriptions.enqueue_new_events():
        pass


def test_a_new_stream_begins_with_what_comes_next_unless_it_is_told(out: Out) -> None:
    out.bench.record(tracked(), tracked())
    stream(out)
    stream(out, 1, "from-one")
    out.bench.record(tracked())
    follow(out)
    assert causes(out) == ["position 2", "position 3", "position 3"]


def test_only_what_it_asks_for_is_sent(out: Out) -> None:
    stream(
        out,
        events=["Order Completed", {"matching": "Cart *"}],
        where=[{"path": "properties.total", "op": "gte", "value": 10}],
        kinds=["track"],
    )
    out.bench.record(
        tracked("Order Completed", properties={"total": 10}),
        tracked("Order Completed", properties={"total": 9}),
        tracked("Cart Viewed", properties={"total": 11}),
        tracked("Cart Viewed", kind="screen", properties={"total": 11}),
        tracked("Other", properties={"total": 11}),
    )
    follow(out)
    assert causes(out) == ["position 1", "position 3"]


@pytest.mark.parametrize(
    ("said", "passes"),
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
def test_messages_say_where_they_may_go(said: str, passes: bool) -> None:
    assert integrations_allow(said.encode(), ("all", "Data Lake")) is passes


def test_many_followers_take_each_event_in_once(out: Out) -> None:
    stream(out)
    out.bench.record(*(tracked() for _ in range(1_200)))
    followers = [threading.Thread(target=follow, args=(out,)) for _ in range(4)]
    for each in followers:
        each.start()
    for each in followers:
        each.join()
    follow(out)
    assert causes(out) == [f"position {it}" for it in range(1, 1_201)]


def test_a_batch_that_is_rolled_back_is_taken_in_later_once(out: Out, monkeypatch) -> None:
    from application.ledger.tables import subscriptions as kept

    stream(out)
    out.bench.record(tracked(), tracked())

    def broken(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(kept, "move", broken)
        with pytest.raises(Exception, match="does not answer"):
            out.outgoing.subscriptions.enqueue_new_events()
    assert causes(out) == []
    follow(out)
    assert causes(out) == ["position 1", "position 2"]


def test_a_stream_made_anew_sends_anew(out: Out) -> None:
    out.bench.record(tracked())
    stream(out, 0)
    follow(out)
    out.outgoing.subscriptions.delete(out.workspace, "all")
    out.clock.move(seconds=1)
    stream(out, 0)
    follow(out)
    assert causes(out) == ["position 1", "position 1"]


def test_every_kind_of_event_is_told_as_lists_show_it(out: Out) -> None:
    stream(out)
    out.bench.record(tracked("Viewed", user("ann"), anonymous("a"), properties={"n": 1.50}))
    follow(out)
    [(context,)] = out.bench.sql("SELECT context FROM ledger.delivery")
    assert b'"identifier":{"kind":"user_id","value":"ann"}' in bytes(context)
    assert b'"properties":{"n":1.5}' in bytes(context)
