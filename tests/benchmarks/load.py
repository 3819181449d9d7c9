"""Sends messages to a server at its full speed, from a process of its own.

All requests are encoded before the clock starts.  It stops when the last request is answered: durable.
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
    """A load: what to send to which server."""

    port: int
    key: str
    events: int
    per_request: int = 500
    """Messages of a request; 1 uses the path for single messages."""

    connections: int = 16
    two_ids: bool = False


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a load.  Latencies are of requests, in milliseconds."""

    events: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    """Share of one core that the sender itself used."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def prepared(load: Load) -> Worker[Sent]:
    """Starts a sender and returns it once all requests are encoded; ``go()`` sends them."""
    return Worker("tests.benchmarks.load", load, Sent)


def send(load: Load) -> Sent:
    """Sends the load from a process of its own."""
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
    remaining, latencies = iter(requests), []
    async with Connection.several(*[load.port] * load.connections) as connections:
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *(_send_on(connection, remaining, latencies) for connection in connections)
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Sent(
        events=load.events,
        seconds=seconds,
        p50=percentile(latencies, 50) * 1000,
        p99=percentile(latencies, 99) * 1000,
        cpu=cpu / seconds,
    )


async def _send_on(
    connection: Connection, requests: Iterator[bytes], latencies: list[float]
) -> None:
    for request in requests:
        started = time.perf_counter()
        await connection.expect(request)
        latencies.append(time.perf_counter() - started)


if __name__ == "__main__":
    main()
