"""Whenever a worker dies, everything due is done at least once, under one id, and recorded once."""

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
from tests.integration.deliveries.conftest import Out
from tests.integration.deliveries.dying import DIED
from tests.receiver import Received, Receiver, answers

pytestmark = pytest.mark.storage

SEND_EVENT = b'{"send_event": {"name": "Opened"}}'


class Worker:
    """The other process."""

    def __init__(self, out: Out, process: subprocess.Popen[str]) -> None:
        self._out, self._process = out, process

    def run(self, when: str = "before", at: int = 0) -> int:
        """Let it work, and die at that round trip if it makes as many; return its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(self._out.clock().isoformat(), when, at, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@contextmanager
def another_worker(out: Out) -> Iterator[Worker]:
    command = [sys.executable, "-m", "tests.integration.deliveries.dying", out.bench.dsn]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Worker(out, process)
        assert process.stdin is not None
        process.stdin.close()


def first_fails():
    """Return a behaviour: the first attempt of each delivery is answered 500."""
    seen: Counter[str] = Counter()
    no, yes = answers(500), answers()

    def behave(connection, request: Received):
        seen[request.id] += 1
        return (no if seen[request.id] == 1 else yes)(connection, request)

    return behave


def put_in(out: Out, number: int) -> list[UUID]:
    return [
        out.enqueue(number, "well"),
        out.enqueue(number + 1, "flaky"),
        out.enqueue(number + 2, action=SEND_EVENT),
    ]


def finish(out: Out, number: int) -> None:
    """Let another worker do the rest, as time goes by."""
    for _ in range(8):
        if all(out.state(number + it)[0] == "delivered" for it in range(3)):
            return
        out.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
        out.run()
    pytest.fail(str([out.state(number + it) for it in range(3)]))


def test_a_worker_may_die_at_any_round_trip(out: Out) -> None:
    with Receiver() as well, Receiver(first_fails()) as flaky, another_worker(out) as worker:
        out.endpoint(well, "well")
        out.endpoint(flaky, "flaky")
        put_in(out, 0)
        assert worker.run() == 0
        finish(out, 0)
        numbers = [0]
        outlived = 0
        # How many round trips it takes depends on timing a little: on until none is left to die at.
        for at in itertools.count(1):
            for when in ("before", "after"):
                numbers.append(numbers[-1] + 10)
                put_in(out, numbers[-1])
                died = worker.run(when, at) == DIED
                outlived = 0 if died else outlived + 1
                finish(out, numbers[-1])
            if outlived > 3:
                break
        assert at > 10
    assert {it.id for it in well.received} == {str(UUID(int=it)) for it in numbers}
    assert {it.id for it in flaky.received} == {str(UUID(int=it + 1)) for it in numbers}
    for request in well.received:
        request.verify(out.secrets["well"])
    recorded = Counter(
        it.event.message_id for it in out.bench.all() if isinstance(it.event, MessageEvent)
    )
    assert recorded == {f"foldline-{UUID(int=it + 2)}": 1 for it in numbers}
    sent_again = len(well.received) - len(numbers)
    assert 0 < sent_again < len(numbers)  # between sending and saying so it does happen


def lease(out: Out, worker: int = 1) -> list[leases.LeasedDelivery]:
    with out.bench.store.connection() as connection:
        return list(
            leases.acquire(
                connection, UUID(int=worker), out.clock(), lambda lanes: dict.fromkeys(lanes, 4)
            )
        )


def finished(out: Out, held: leases.LeasedDelivery) -> bool:
    done = Attempt(held, "delivered", 0, None, None, out.clock(), 0.1, status=200)
    with out.bench.store.connection() as connection:
        return bool(leases.complete(connection, [done]))


def test_a_worker_that_wakes_up_too_late_is_refused(out: Out) -> None:
    out.endpoint("https://example.com/")
    out.enqueue()
    [zombie] = lease(out, 1)
    assert lease(out, 2) == []
    out.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
    with out.bench.store.connection() as connection:
        assert leases.release_expired(connection, out.clock()) == 1
    [held] = lease(out, 2)
    assert not finished(out, zombie)
    assert out.state() == ("sending", 0)
    assert finished(out, held)
    assert not finished(out, held)
    assert out.state() == ("delivered", 1)


def test_an_endpoint_is_one_workers_at_a_time(out: Out) -> None:
    out.endpoint("https://example.com/")
    for number in range(8):
        out.enqueue(number)
    assert len(lease(out, 1)) == 4
    assert lease(out, 2) == []
    assert len(lease(out, 1)) == 4


def test_without_the_fence_a_late_result_would_count(out: Out, monkeypatch) -> None:
    """Sabotage: the fence is what refuses a zombie."""
    monkeypatch.setattr(leases, "_FINISH", leases._FINISH.replace("AND it.fence = told.fence", ""))
    out.endpoint("https://example.com/")
    out.enqueue()
    [zombie] = lease(out, 1)
    out.clock.move(seconds=LEASE_DURATION.total_seconds() + 1)
    with out.bench.store.connection() as connection:
        leases.release_expired(connection, out.clock())
    lease(out, 2)
    assert finished(out, zombie)


def test_two_workers_at_once_send_each_delivery_once(out: Out) -> None:
    with Receiver() as receiver:
        for endpoint in "abcd":
            out.endpoint(receiver, endpoint)
        for number in range(80):
            out.enqueue(number, "abcd"[number % 4])
        workers = [threading.Thread(target=out.run) for _ in range(3)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        out.run()
    assert sorted(Counter(it.id for it in receiver.received).values()) == [1] * 80
