"""Sends messages to a server as fast as it takes them, from a process of its own.

Everything is encoded before the clock starts; it stops when the last request is answered, and so durable.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import msgspec
import uvloop

from tests.benchmarks import messages
from tests.benchmarks.client import Connection, post
from tests.benchmarks.process import Worker
from tests.benchmarks.times import percentile


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    port: int
    key: str
    events: int
    per_request: int = 500
    """1 uses the path for single messages."""

    connections: int = 16
    two_ids: bool = False


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.  Latencies are of requests, in milliseconds."""

    events: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    """Share of one core that the sender itself took."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def prepared(load: Load) -> Worker[Sent]:
    """Start a sender and return it once all is encoded; ``go()`` sends."""
    return Worker("tests.benchmarks.load", load, Sent)


def send(load: Load) -> Sent:
    """Send it all, in a process of its own."""
    with prepared(load) as sender:
        return sender.go()


def main() -> None:
    load = msgspec.json.decode(sys.stdin.readline(), type=Load)
    if load.per_request == 1:
        path, bodies = "/v1/track", messages.singles(load.events)
    else:
        path = "/v1/batch"
        bodies = messages.batches(load.events, load.per_request, two_ids=load.two_ids)
    requests = [post(path, load.key, body) for body in bodies]
    print("ready", flush=True)
    sys.stdin.readline()
    print(msgspec.json.encode(uvloop.run(_send(load, requests))).decode(), flush=True)


async def _send(load: Load, requests: list[bytes]) -> Sent:
    waiting, took = iter(requests), []
    async with Connection.several(*[load.port] * load.connections) as connections:
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_take(it, waiting, took) for it in connections))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Sent(
        events=load.events,
        seconds=seconds,
        p50=percentile(took, 50) * 1000,
        p99=percentile(took, 99) * 1000,
        cpu=cpu / seconds,
    )


async def _take(connection: Connection, requests: Iterator[bytes], took: list[float]) -> None:
    for request in requests:
        started = time.perf_counter()
        await connection.expect(request)
        took.append(time.perf_counter() - started)


if __name__ == "__main__":
    main()
