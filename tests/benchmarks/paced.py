"""Sends batches at a steady rate, in its own process, and polls until some are visible."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from uuid import uuid4

import msgspec
import uvloop

from tests.benchmarks.client import Connection, get, post
from tests.benchmarks.messages import track


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, how fast, and how often to poll."""

    port: int
    write_key: str
    read_key: str
    seconds: float
    per_batch: int = 20
    batches_a_second: int = 100
    poll_every: int = 25
    """One batch in this many has its own profile, whose timeline is polled until visible; 0: none."""

    poll_interval: float = 0.01


class Acknowledged(msgspec.Struct, frozen=True):
    """An answered batch: the time of the answer and the position of its events."""

    at: float
    """Monotonic seconds, the same clock in every process."""

    position: int


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """Result of sending at a pace."""

    acknowledged: list[Acknowledged]
    seen_after: list[float]
    """Seconds from a batch's answer until its profile's timeline showed the event."""

    rate: float
    """Events a second that were actually sent."""


class Sender:
    """Sends batches over as many connections as needed."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._chance = random.Random()
        self._idle: list[Connection] = []
        self.acknowledged: list[Acknowledged] = []
        self.seen_after: list[float] = []

    async def run(self) -> Paced:
        pace = self._pace
        count = int(pace.seconds * pace.batches_a_second)
        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                due = started + number / pace.batches_a_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                is_polled = bool(pace.poll_every) and number % pace.poll_every == 0
                tasks.create_task(self._batch(is_polled=is_polled))
            rate = count * pace.per_batch / (time.monotonic() - started)
        for connection in self._idle:
            await connection.close()
        return Paced(acknowledged=self.acknowledged, seen_after=self.seen_after, rate=rate)

    async def _batch(self, *, is_polled: bool) -> None:
        messages = [track(self._chance) for _ in range(self._pace.per_batch)]
        user = f"polled-{uuid4()}"
        if is_polled:
            messages[-1]["userId"] = user
        body = msgspec.json.encode({"batch": messages})
        answer = await self._exchange(post("/v1/batch", self._pace.write_key, body))
        at = time.monotonic()
        assert answer[0] == 200, answer
        position = msgspec.json.decode(answer[1])["position"]
        self.acknowledged.append(Acknowledged(at, position))
        if is_polled:
            await self._poll(user, at)

    async def _poll(self, user: str, answered_at: float) -> None:
        request = get(f"/v1/profiles/user_id:{user}/timeline?limit=1", self._pace.read_key)
        while (await self._exchange(request))[0] != 200:  # noqa: ASYNC110 - the server decides
            await asyncio.sleep(self._pace.poll_interval)
        self.seen_after.append(time.monotonic() - answered_at)

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        connection = self._idle.pop() if self._idle else await Connection.open(self._pace.port)
        answer = await connection.exchange(request)
        self._idle.append(connection)
        return answer


def main() -> None:
    pace = msgspec.json.decode(sys.stdin.readline(), type=Pace)
    print("ready", flush=True)
    sys.stdin.readline()
    paced = uvloop.run(Sender(pace).run())
    print(msgspec.json.encode(paced).decode(), flush=True)


if __name__ == "__main__":
    main()
