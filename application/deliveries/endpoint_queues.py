"""What one worker holds: the deliveries to each endpoint in a lane of their own, and all commands in one."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from application.deliveries.addresses import Guard
from application.deliveries.outcome import Verdict
from application.deliveries.webhooks import TOTAL_SECONDS, Receiver
from application.ledger.tables.endpoints import PARKED_AT, Endpoint
from application.ledger.tables.leases import Lane as Key
from application.ledger.tables.leases import Leased
from application.ledger.tables.outbox import COMMANDS

COMMANDS_AT_ONCE = 16

QUICK_SECONDS, AHEAD = 0.25, 32
"""An endpoint that answers so quickly gets that many times more handed out than is sent at once.

With 8, the 32 deliveries of a look were fewer than came at 500 a second, and the last one waited 10 s.
"""

SPARE = timedelta(seconds=TOTAL_SECONDS + 5)
"""What is left of a lease at least when something is sent under it."""

UNUSED = timedelta(seconds=60)
"""After so long the connections to an endpoint are let go."""


@dataclass
class Lane:
    """Deliveries that were handed out, and how those before went."""

    is_commands: bool
    used_at: datetime
    endpoint: Endpoint | None = None
    receiver: Receiver | None = None
    queue: deque[tuple[Leased, datetime]] = field(default_factory=deque)
    """Each with the end of its lease."""

    running: int = 0
    held: int = 0
    """Handed out and not yet written down, those in the queue included."""

    failures: int = 0
    """In a row."""

    is_quick: bool = False

    @property
    def at_once(self) -> int:
        """How many may be under way; one alone, to see, after too many failures."""
        if self.is_commands:
            return COMMANDS_AT_ONCE
        if self.endpoint is None:
            return 4
        return 1 if self.is_parked else self.endpoint.concurrency

    @property
    def is_parked(self) -> bool:
        """Whether it failed too often to be sent more at once."""
        return self.failures >= PARKED_AT

    @property
    def room(self) -> int:
        """How many more may be handed out."""
        ahead = AHEAD if (self.is_quick or self.is_commands) and not self.is_parked else 1
        return self.at_once * ahead - self.held

    def heard(self, verdict: Verdict) -> None:
        """Learn from how a delivery went."""
        if verdict.is_well is None:
            return
        self.failures = 0 if verdict.is_well else self.failures + 1
        self.is_quick = verdict.is_well and verdict.attempt.seconds < QUICK_SECONDS


class Lanes:
    """All lanes of one worker.  Belongs to one event loop, and never waits for a database."""

    def __init__(
        self,
        do: Callable[[Lane, Leased], Awaitable[Verdict]],
        guard: Guard,
        tls: ssl.SSLContext | None,
        now: Callable[[], datetime],
    ) -> None:
        self._do, self._guard, self._tls, self._now = do, guard, tls, now
        self._lanes: dict[Key, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: list[tuple[Receiver, datetime]] = []
        self._stir = asyncio.Event()
        self.done: list[Verdict] = []
        """What is to be written down."""

        self.unwanted: list[Leased] = []
        """What is to be given back."""

    @property
    def held(self) -> int:
        """How many deliveries were handed out and are neither written down nor given back."""
        return sum(it.held for it in self._lanes.values())

    def room(self, keys: Sequence[Key]) -> Mapping[Key, int]:
        """Return how many more deliveries these lanes may have, of those that may have any."""
        rooms = {key: self._lanes[key].room if key in self._lanes else 4 for key in keys}
        return {key: room for key, room in rooms.items() if room > 0}

    def take(
        self, handed: Sequence[Leased], endpoints: Mapping[Key, Endpoint], until: datetime
    ) -> None:
        """Begin what was handed out, under leases that end at a time."""
        touched: dict[Key, Lane] = {}
        for it in handed:
            key = it.workspace, it.lane
            lane = touched[key] = self._lane(key, endpoints.get(key))
            lane.queue.append((it, until))
            lane.held += 1
        for lane in touched.values():
            self._begin(lane)

    async def stirred(self, seconds: float) -> None:
        """Wait until something was done, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        self._stir.clear()

    def written(self, verdicts: Sequence[Verdict]) -> None:
        """Forget what was written down."""
        self.done = self.done[len(verdicts) :]
        for it in verdicts:
            self._lanes[it.attempt.of.workspace, it.attempt.of.lane].held -= 1

    def given_back(self, unwanted: Sequence[Leased]) -> None:
        """Forget what was given back."""
        self.unwanted = self.unwanted[len(unwanted) :]
        for it in unwanted:
            self._lanes[it.workspace, it.lane].held -= 1

    async def tidy(self, now: datetime) -> None:
        """Let go of lanes that are not used, and of connections to where endpoints were before."""
        for receiver, since in list(self._retired):
            if now - since > SPARE:
                self._retired.remove((receiver, since))
                await receiver.close()
        for key, lane in list(self._lanes.items()):
            if not lane.held and now - lane.used_at > UNUSED:
                del self._lanes[key]
                if lane.receiver is not None:
                    await lane.receiver.close()

    async def end(self, seconds: float) -> None:
        """Begin nothing more, let what is under way come to its end, for so long, and close everything."""
        for lane in self._lanes.values():
            self._drop(lane)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes.values():
            self._retire(lane)
        for receiver, _ in self._retired:
            await receiver.close()

    def _lane(self, key: Key, endpoint: Endpoint | None) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            failures = 0 if endpoint is None else endpoint.failures
            lane = Lane(key[1] == COMMANDS, self._now(), failures=failures)
            self._lanes[key] = lane
        lane.used_at = self._now()
        if endpoint != lane.endpoint:
            before, lane.endpoint = lane.endpoint, endpoint
            if endpoint is None or before is None or before[:5] != endpoint[:5]:
                self._retire(lane)  # what is under way to the address before comes to its end
                if endpoint is not None:
                    url, concurrency = endpoint.url, endpoint.concurrency
                    lane.receiver = Receiver(url, concurrency, self._guard, self._tls)
        return lane

    def _retire(self, lane: Lane) -> None:
        if lane.receiver is not None:
            self._retired.append((lane.receiver, self._now()))
            lane.receiver = None

    def _begin(self, lane: Lane) -> None:
        while lane.running < min(lane.at_once, lane.running + len(lane.queue)):
            lane.running += 1
            task = asyncio.create_task(self._work_off(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work_off(self, lane: Lane) -> None:
        try:
            while lane.queue:
                it, until = lane.queue.popleft()
                if until - self._now() < SPARE:
                    self.unwanted.append(it)
                    continue
                verdict = await self._do(lane, it)
                lane.heard(verdict)
                self.done.append(verdict)
                self._stir.set()
                if lane.is_parked or verdict.is_gone:
                    self._drop(lane)
        finally:
            lane.running -= 1

    def _drop(self, lane: Lane) -> None:
        self.unwanted += [it for it, _ in lane.queue]
        lane.queue.clear()
