"""Webhooks: signed, retried as scheduled, always under one id."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest

from domain.delivery.retry_policy import RETRY_DELAYS
from tests.integration.deliveries.outbound import Outbound
from tests.receiver import Receiver, answers

pytestmark = pytest.mark.storage


@pytest.mark.smoke
def test_a_due_delivery_is_sent_once_and_its_signature_verifies(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        id_ = outbound.enqueue()
        outbound.run()
        outbound.run()
    [request] = receiver.received
    assert request.id == str(id_)
    request.verify(outbound.secrets["crm"])
    body = json.loads(request.body)
    assert (body["type"], body["rule"], body["version"]) == ("rule.fired", "welcome", 1)
    assert body["data"] == {"event": {"total": 7}, "customer": {"plan": "pro"}, "client": {}}
    assert outbound.state() == ("delivered", 1)
    _, [attempt] = outbound.deliveries.get(outbound.workspace, id_)
    assert (attempt.attempt, attempt.status, attempt.error, attempt.reply) == (1, 200, None, b"ok")


def test_a_delivery_waits_until_it_is_due(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        outbound.enqueue(due_at=outbound.clock() + timedelta(hours=1))
        outbound.run()
        assert outbound.state() == ("waiting", 0)
        outbound.clock.move(hours=1)
        outbound.run()
    assert outbound.state() == ("delivered", 1)


def test_a_failing_delivery_is_retried_as_scheduled_and_then_given_up(outbound: Outbound) -> None:
    with Receiver(answers(500)) as receiver:
        outbound.endpoint(receiver)
        id_ = outbound.enqueue()
        outbound.run()
        for attempts_made, delay in enumerate(RETRY_DELAYS, 1):
            assert outbound.state() == ("waiting", attempts_made)
            row, _ = outbound.deliveries.get(outbound.workspace, id_)
            wait = row.due_at - outbound.clock()
            assert delay * 0.9 <= wait <= delay * 1.1
            outbound.clock.at = row.due_at - timedelta(seconds=1)
            outbound.run()
            assert outbound.state() == ("waiting", attempts_made)
            outbound.clock.at = row.due_at
            outbound.run()
        assert outbound.state() == ("failed", len(RETRY_DELAYS) + 1)
        row, attempts = outbound.deliveries.get(outbound.workspace, id_)
        assert row.reason == "given up after 8 attempts, the last one: answered 500"
        outbound.clock.move(days=10)
        outbound.run()
    assert [attempt.status for attempt in attempts] == [500] * 8
    assert {request.id for request in receiver.received} == {str(id_)}
    assert len(receiver.received) == 8


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("0", 1, 1),
        ("5", 5, 5),
        ("1000000000", 86_400, 86_400),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400, 86_400),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 1, 1),
        ("soon", 4.5, 5.5),
    ],
)
def test_the_receiver_may_set_the_time_of_the_retry(
    outbound: Outbound, retry_after, least, most
) -> None:
    with Receiver(answers(429, retry_after=retry_after)) as receiver:
        outbound.endpoint(receiver)
        id_ = outbound.enqueue()
        outbound.run()
        row, _ = outbound.deliveries.get(outbound.workspace, id_)
        assert least <= (row.due_at - outbound.clock()).total_seconds() <= most


def test_repeated_retry_after_answers_use_up_no_attempts(outbound: Outbound) -> None:
    with Receiver([answers(429, retry_after="30")] * 20 + [answers()]) as receiver:
        outbound.endpoint(receiver)
        outbound.enqueue()
        for _ in range(60):
            outbound.run()
            outbound.clock.move(minutes=5)
    assert outbound.state() == ("delivered", 21)


def test_410_disables_the_endpoint_until_it_is_enabled_again(outbound: Outbound) -> None:
    with Receiver([answers(410), answers()]) as receiver:
        outbound.endpoint(receiver)
        outbound.enqueue(1)
        outbound.run()
        endpoint = outbound.deliveries.endpoints.get(outbound.workspace, "crm")
        assert endpoint.disabled_at == outbound.clock()
        assert "410" in (endpoint.disabled_reason or "")
        outbound.enqueue(2)
        outbound.clock.move(days=3)
        outbound.run()
        assert len(receiver.received) == 1
        outbound.deliveries.endpoints.enable(outbound.workspace, "crm")
        outbound.run()
    assert [outbound.state(number) for number in (1, 2)] == [("delivered", 2), ("delivered", 1)]


def test_five_days_of_failures_disable_the_endpoint(outbound: Outbound) -> None:
    with Receiver(answers(500)) as receiver:
        outbound.endpoint(receiver)
        for day in range(6):
            outbound.enqueue(day)
            outbound.run()
            assert (
                outbound.deliveries.endpoints.get(outbound.workspace, "crm").disabled_at is None
                or day == 5
            )
            outbound.clock.move(days=1)
        endpoint = outbound.deliveries.endpoints.get(outbound.workspace, "crm")
    assert endpoint.disabled_reason == "no delivery succeeded for 5 days"


def test_a_failing_endpoint_is_parked_then_probed_with_one_delivery(outbound: Outbound) -> None:
    with Receiver(answers(500)) as receiver:
        outbound.endpoint(receiver, concurrency=1)
        for number in range(40):
            outbound.enqueue(number)
        outbound.run()
        assert len(receiver.received) == 5
        outbound.run()
        assert len(receiver.received) == 5
        outbound.clock.move(seconds=3)
        outbound.run()
        assert len(receiver.received) == 5
        outbound.clock.move(seconds=8)
        outbound.run()
        assert len(receiver.received) == 6
        receiver.behave = answers()
        outbound.clock.move(minutes=1)
        outbound.run()
    assert {outbound.state(number)[0] for number in range(40)} <= {"delivered", "waiting"}
    assert sum(outbound.state(number) == ("delivered", 1) for number in range(40)) >= 34


def test_a_redelivery_is_the_same_delivery_again(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        id_ = outbound.enqueue()
        outbound.run()
        outbound.deliveries.replay(outbound.workspace, id_)
        outbound.run()
    first, second = receiver.received
    assert first.id == second.id
    assert first.body == second.body
    assert outbound.state() == ("delivered", 2)


def test_both_secrets_sign_for_a_day_after_a_rotation(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        previous = outbound.secrets["crm"]
        _, current = outbound.deliveries.endpoints.rotate_secret(outbound.workspace, "crm")
        outbound.enqueue(1)
        outbound.run()
        outbound.clock.move(hours=25)
        outbound.enqueue(2)
        outbound.run()
    during_overlap, after_overlap = receiver.received
    assert previous != current
    for secret in (previous, current):
        during_overlap.verify(secret)
    after_overlap.verify(current)
    with pytest.raises(Exception, match="No matching signature"):
        after_overlap.verify(previous)


def test_a_delivery_to_a_missing_endpoint_fails_with_the_reason(outbound: Outbound) -> None:
    outbound.enqueue(1, endpoint="nowhere")
    outbound.run()
    row, _ = outbound.deliveries.get(outbound.workspace, UUID(int=1))
    assert row.state == "failed"
    assert "endpoint 'nowhere' does not exist" in (row.reason or "")


def test_secrets_are_encrypted_in_the_database(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
    rows = repr(outbound.bench.sql("SELECT * FROM ledger.endpoint"))
    assert outbound.secrets["crm"].removeprefix("whsec_") not in rows
