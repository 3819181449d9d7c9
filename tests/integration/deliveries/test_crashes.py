"""Worker crashes: every delivery is executed at least once, and recorded once."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from application.ledger.tables import leases
from application.ledger.tables.leases import LEASE_DURATION, Attempt
from domain.events.events import MessageEvent
from tests.integration.deliveries.crashing_worker import DIED
from tests.integration.deliveries.outbound import Outbound
from tests.receiver import Received, Receiver, answers

pytestmark = pytest.mark.storage

SEND_EVENT = b'{"send_event": {"name": "Opened"}}'


class Worker:
    """A worker in another process."""

    def __init__(self, outbound: Outbound, process: subprocess.Popen[str]) -> None:
        self._outbound, self._process = outbound, process

    def run(self, when: str = "before", round_trip: int = 0) -> int:
        """Lets it work, and die at a round trip if it makes as many; returns its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(
            self._outbound.clock().isoformat(),
            when,
            round_trip,
            file=self._process.stdin,
            flush=True,
        )
        return int(self._process.stdout.readline())


@contextmanager
def another_worker(outbound: Outbound) -> Iterator[Worker]:
    command = [
        sys.executable,
        "-m",
        "tests.integration.deliveries.crashing_worker",
        outbound.bench.dsn,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Worker(outbound, process)
        assert process.stdin is not None
        process.stdin.close()


def first_fails():
    """Returns a behaviour: the first attempt of each delivery is answered 500."""
    attempts: Counter[str] = Counter()
    failure, success = answers(500), answers()

    def behave(connection, request: Received):
        attempts[request.id] += 1
        return (failure if attempts[request.id] == 1 else success)(connection, request)

    return behave


def enqueue_three(outbound: Outbound, number: int) -> list[UUID]:
    return [
        outbound.enqueue(number, "healthy"),
        outbound.enqueue(number + 1, "flaky"),
        outbound.enqueue(number + 2, action=SEND_EVENT),
    ]


def finish(outbound: Outbound, number: int) -> None:
    """Lets another worker do the rest, as time passes."""
    for _ in range(8):
        if all(outbound.state(number + index)[0] == "delivered" for index in range(3)):
            return
        outbound.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
        outbound.run()
    pytest.fail(str([outbound.state(number + index) for index in range(3)]))


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_worker_may_die_at_any_round_trip(outbound: Outbound, step: int) -> None:
    with (
        Receiver() as healthy,
        Receiver(first_fails()) as flaky,
        another_worker(outbound) as worker,
    ):
        outbound.endpoint(healthy, "healthy")
        outbound.endpoint(flaky, "flaky")
        enqueue_three(outbound, 0)
        assert worker.run() == 0
        finish(outbound, 0)
        numbers = [0]
        survived = 0
        # The number of round trips varies a little with timing: go on until several runs survive.
        for round_trip in itertools.count(1, step):
            for when in ("before", "after"):
                numbers.append(numbers[-1] + 10)
                enqueue_three(outbound, numbers[-1])
                died = worker.run(when, round_trip) == DIED
                survived = 0 if died else survived + 1
                finish(outbound, numbers[-1])
            if survived > 3:
                break
        assert round_trip > 10
    assert {request.id for request in healthy.received} == {str(UUID(int=n)) for n in numbers}
    assert {request.id for request in flaky.received} == {str(UUID(int=n + 1)) for n in numbers}
    for request in healthy.received:
        request.verify(outbound.secrets["healthy"])
    message_ids = Counter(
        recorded.event.message_id
        for recorded in outbound.bench.all()
        if isinstance(recorded.event, MessageEvent)
    )
    assert message_ids == {f"foldline-{UUID(int=n + 2)}": 1 for n in numbers}
    sent_again = len(healthy.received) - len(numbers)
    assert 0 < sent_again < len(numbers)  # those that died between sending and completing


def lease(outbound: Outbound, worker: int = 1) -> list[leases.LeasedDelivery]:
    with outbound.bench.store.connection() as connection:
        return list(
            leases.acquire(
                connection,
                UUID(int=worker),
                outbound.clock(),
                lambda queues: dict.fromkeys(queues, 4),
            )
        )


def complete(outbound: Outbound, delivery: leases.LeasedDelivery) -> bool:
    """Completes a delivery; returns whether its lease was still valid."""
    attempt = Attempt(delivery, "delivered", 0, None, None, outbound.clock(), 0.1, status=200)
    with outbound.bench.store.connection() as connection:
        return bool(leases.complete(connection, [attempt]))


def test_a_worker_with_an_expired_lease_is_refused(outbound: Outbound) -> None:
    outbound.endpoint("https://example.com/")
    outbound.enqueue()
    [zombie] = lease(outbound, 1)
    assert lease(outbound, 2) == []
    outbound.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
    with outbound.bench.store.connection() as connection:
        assert leases.release_expired(connection, outbound.clock()) == 1
    [current] = lease(outbound, 2)
    assert not complete(outbound, zombie)
    assert outbound.state() == ("sending", 0)
    assert complete(outbound, current)
    assert not complete(outbound, current)
    assert outbound.state() == ("delivered", 1)


def test_an_endpoint_belongs_to_one_worker_at_a_time(outbound: Outbound) -> None:
    outbound.endpoint("https://example.com/")
    for number in range(8):
        outbound.enqueue(number)
    assert len(lease(outbound, 1)) == 4
    assert lease(outbound, 2) == []
    assert len(lease(outbound, 1)) == 4


def test_without_the_fence_a_late_result_would_count(outbound: Outbound, monkeypatch) -> None:
    """Sabotage: the fence refuses the zombie."""
    monkeypatch.setattr(
        leases, "_COMPLETE", leases._COMPLETE.replace("AND delivery.fence = outcome.fence", "")
    )
    outbound.endpoint("https://example.com/")
    outbound.enqueue()
    [zombie] = lease(outbound, 1)
    outbound.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
    with outbound.bench.store.connection() as connection:
        leases.release_expired(connection, outbound.clock())
    lease(outbound, 2)
    assert complete(outbound, zombie)


def test_two_workers_at_once_send_each_delivery_once(outbound: Outbound) -> None:
    with Receiver() as receiver:
        for endpoint in "abcd":
            outbound.endpoint(receiver, endpoint)
        for number in range(80):
            outbound.enqueue(number, "abcd"[number % 4])
        workers = [threading.Thread(target=outbound.run) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        outbound.run()
    assert sorted(Counter(request.id for request in receiver.received).values()) == [1] * 80
