"""Sends batches at a steady rate, from a process of its own, and asks the API when some can be seen."""

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
    """What to send, how fast, and how often to look."""

    port: int
    write_key: str
    read_key: str
    seconds: float
    per_batch: int = 20
    batches_a_second: int = 100
    look_at_every: int = 25
    """One batch in this many has a profile of its own, whose timeline is asked for until it is there; 0: none."""

    look_again_after: float = 0.01


class Acknowledged(msgspec.Struct, frozen=True):
    """A batch that was answered: when (monotonic seconds, the same in every process), and where it is."""

    at: float
    position: int


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    acknowledged: list[Acknowledged]
    seen_after: list[float]
    """Seconds from the answer to a batch until its profile's timeline showed the event."""

    rate: float
    """Events a second that were really sent."""


class Sender:
    """Batches on their way, over as many connections as it takes."""

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
                looked_at = bool(pace.look_at_every) and number % pace.look_at_every == 0
                tasks.create_task(self._batch(looked_at=looked_at))
            rate = count * pace.per_batch / (time.monotonic() - started)
        for it in self._idle:
            await it.close()
        return Paced(acknowledged=self.acknowledged, seen_after=self.seen_after, rate=rate)

    async def _batch(self, *, looked_at: bool) -> None:
        messages = [track(self._chance) for _ in range(self._pace.per_batch)]
        who = f"looked-at-{uuid4()}"
        if looked_at:
            messages[-1]["userId"] = who
        body = msgspec.json.encode({"batch": messages})
        answer = await self._exchange(post("/v1/batch", self._pace.write_key, body))
        at = time.monotonic()
        assert answer[0] == 200, answer
        position = msgspec.json.decode(answer[1])["position"]
        self.acknowledged.append(Acknowledged(at, position))
        if looked_at:
            await self._look(who, at)

    async def _look(self, who: str, since: float) -> None:
        question = get(f"/v1/profiles/user_id:{who}/timeline?limit=1", self._pace.read_key)
        while (await self._exchange(question))[0] != 200:  # noqa: ASYNC110 - the server decides
            await asyncio.sleep(self._pace.look_again_after)
        self.seen_after.append(time.monotonic() - since)

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
