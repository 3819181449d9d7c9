"""A webhook goes out signed, and is tried again as the schedule says, always under one id."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest

from domain.delivery.retry_policy import RETRY_DELAYS
from tests.integration.deliveries.conftest import Out
from tests.receiver import Receiver, answers

pytestmark = pytest.mark.storage


@pytest.mark.smoke
def test_what_is_due_is_sent_once_and_verifies(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        id_ = out.enqueue()
        out.run()
        out.run()
    [request] = receiver.received
    assert request.id == str(id_)
    request.verify(out.secrets["crm"])
    said = json.loads(request.body)
    assert (said["type"], said["rule"], said["version"]) == ("rule.fired", "welcome", 1)
    assert said["data"] == {"event": {"total": 7}, "customer": {"plan": "pro"}, "client": {}}
    assert out.state() == ("delivered", 1)
    _, [attempt] = out.outgoing.get(out.workspace, id_)
    assert (attempt.attempt, attempt.status, attempt.error, attempt.reply) == (1, 200, None, b"ok")


def test_what_is_not_due_waits(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        out.enqueue(due=out.clock() + timedelta(hours=1))
        out.run()
        assert out.state() == ("waiting", 0)
        out.clock.move(hours=1)
        out.run()
    assert out.state() == ("delivered", 1)


def test_it_is_tried_again_as_scheduled_and_then_given_up(out: Out) -> None:
    with Receiver(answers(500)) as receiver:
        out.endpoint(receiver)
        id_ = out.enqueue()
        out.run()
        for made, delay in enumerate(RETRY_DELAYS, 1):
            assert out.state() == ("waiting", made)
            row, _ = out.outgoing.get(out.workspace, id_)
            waits = row.due_at - out.clock()
            assert delay * 0.9 <= waits <= delay * 1.1
            out.clock.at = row.due_at - timedelta(seconds=1)
            out.run()
            assert out.state() == ("waiting", made)
            out.clock.at = row.due_at
            out.run()
        assert out.state() == ("failed", len(RETRY_DELAYS) + 1)
        row, attempts = out.outgoing.get(out.workspace, id_)
        assert row.reason == "given up after 8 attempts, the last one: answered 500"
        out.clock.move(days=10)
        out.run()
    assert [it.status for it in attempts] == [500] * 8
    assert {it.id for it in receiver.received} == {str(id_)}
    assert len(receiver.received) == 8


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("0", 1, 1),
        ("5", 5, 5),
        ("1000000000", 86_400, 86_400),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400, 86_400),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 1, 1),
        ("soon", 4.5, 5.5),
    ],
)
def test_the_receiver_may_ask_for_another_time(out: Out, asked, least, most) -> None:
    with Receiver(answers(429, retry_after=asked)) as receiver:
        out.endpoint(receiver)
        id_ = out.enqueue()
        out.run()
        row, _ = out.outgoing.get(out.workspace, id_)
        assert least <= (row.due_at - out.clock()).total_seconds() <= most


def test_one_that_asks_for_time_again_and_again_loses_nothing(out: Out) -> None:
    with Receiver([answers(429, retry_after="30")] * 20 + [answers()]) as receiver:
        out.endpoint(receiver)
        out.enqueue()
        for _ in range(60):
            out.run()
            out.clock.move(minutes=5)
    assert out.state() == ("delivered", 21)


def test_gone_means_gone_until_it_is_enabled_again(out: Out) -> None:
    with Receiver([answers(410), answers()]) as receiver:
        out.endpoint(receiver)
        out.enqueue(1)
        out.run()
        found = out.outgoing.endpoints.get(out.workspace, "crm")
        assert found.disabled_at == out.clock()
        assert "410" in (found.disabled_reason or "")
        out.enqueue(2)
        out.clock.move(days=3)
        out.run()
        assert len(receiver.received) == 1
        out.outgoing.endpoints.enable(out.workspace, "crm")
        out.run()
    assert [out.state(it) for it in (1, 2)] == [("delivered", 2), ("delivered", 1)]


def test_five_days_of_failing_disable(out: Out) -> None:
    with Receiver(answers(500)) as receiver:
        out.endpoint(receiver)
        for day in range(6):
            out.enqueue(day)
            out.run()
            assert out.outgoing.endpoints.get(out.workspace, "crm").disabled_at is None or day == 5
            out.clock.move(days=1)
        found = out.outgoing.endpoints.get(out.workspace, "crm")
    assert found.disabled_reason == "nothing was taken for 5 days"


def test_a_failing_endpoint_is_left_alone_for_a_while_then_tried_with_one(out: Out) -> None:
    with Receiver(answers(500)) as receiver:
        out.endpoint(receiver, concurrency=1)
        for number in range(40):
            out.enqueue(number)
        out.run()
        assert len(receiver.received) == 5
        out.run()
        assert len(receiver.received) == 5
        out.clock.move(seconds=3)
        out.run()
        assert len(receiver.received) == 5
        out.clock.move(seconds=8)
        out.run()
        assert len(receiver.received) == 6
        receiver.behave = answers()
        out.clock.move(minutes=1)
        out.run()
    assert {out.state(it)[0] for it in range(40)} <= {"delivered", "waiting"}
    assert sum(out.state(it) == ("delivered", 1) for it in range(40)) >= 34


def test_a_replay_is_the_same_delivery_again(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        id_ = out.enqueue()
        out.run()
        out.outgoing.replay(out.workspace, id_)
        out.run()
    first, second = receiver.received
    assert first.id == second.id
    assert first.body == second.body
    assert out.state() == ("delivered", 2)


def test_both_secrets_sign_for_a_day_after_a_rotation(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        before = out.secrets["crm"]
        _, after = out.outgoing.endpoints.rotate_secret(out.workspace, "crm")
        out.enqueue(1)
        out.run()
        out.clock.move(hours=25)
        out.enqueue(2)
        out.run()
    both, one = receiver.received
    assert before != after
    for secret in (before, after):
        both.verify(secret)
    one.verify(after)
    with pytest.raises(Exception, match="No matching signature"):
        one.verify(before)


def test_an_endpoint_that_is_not_there_is_said_to_be_missing(out: Out) -> None:
    out.enqueue(1, endpoint="nowhere")
    out.run()
    row, _ = out.outgoing.get(out.workspace, UUID(int=1))
    assert row.state == "failed"
    assert "there is no endpoint 'nowhere'" in (row.reason or "")


def test_secrets_cannot_be_read_in_the_database(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
    rows = repr(out.bench.sql("SELECT * FROM ledger.endpoint"))
    assert out.secrets["crm"].removeprefix("whsec_") not in rows
