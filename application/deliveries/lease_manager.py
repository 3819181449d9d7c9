"""Where deliveries are handed out, and what became of them is written down: all that asks the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self, TypeVar
from uuid import uuid4

import structlog

from application.deliveries.endpoint_queues import Lanes
from application.deliveries.outcome import Verdict
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints, leases
from application.ledger.tables.endpoints import Endpoint
from application.ledger.tables.leases import LEASE, Lane, Leased

log = structlog.get_logger(__name__)

TIDY = timedelta(seconds=1)
"""Between two looks for leases that lapsed, and for connections that nobody uses."""

T = TypeVar("T")


class Handed(NamedTuple):
    """What was handed out in one look."""

    deliveries: Sequence[Leased]
    endpoints: Mapping[Lane, Endpoint]
    until: datetime


class Desk:
    """Hands deliveries to one worker.  Asks the database in a thread, one question at a time."""

    def __init__(self, store: LedgerDatastore, now: Callable[[], datetime]) -> None:
        self._store, self._now, self._worker = store, now, uuid4()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="delivery-desk")
        self._tidied: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def hand_out(self, lanes: Lanes) -> bool:
        """Put what is due into its lanes; say whether there was anything."""
        now = self._now()
        tidy = self._tidied is None or not self._tidied <= now < self._tidied + TIDY
        handed = await self._ask(self._hand_out, lanes.room, now, tidy)
        if tidy:
            self._tidied = now
            await lanes.tidy(now)
        if handed is not None:
            lanes.take(handed.deliveries, handed.endpoints, handed.until)
        return handed is not None

    async def write_down(self, lanes: Lanes) -> None:
        """Write what was done, and what it says of the endpoints; give back what is not to be done."""
        if lanes.unwanted:
            await self.give_back(lanes)
        done = list(lanes.done)
        if done:
            held = await self._ask(self._write_down, done)
            lanes.written(done)
            for it in done:
                if it.attempt.of[:2] not in held:
                    log.warning("another worker has the delivery", id=str(it.attempt.of.id))

    async def give_back(self, lanes: Lanes) -> None:
        """Let others have what was handed out and not begun."""
        unwanted = list(lanes.unwanted)
        await self._ask(self._give_back, unwanted)
        lanes.given_back(unwanted)

    async def _ask(self, act: Callable[..., T], *facts: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *facts)

    def _hand_out(
        self, room: Callable[[Sequence[Lane]], Mapping[Lane, int]], now: datetime, tidy: bool
    ) -> Handed | None:
        with self._store.asking() as connection:
            if tidy:
                leases.lapse(connection, now)
            if not room(leases.lanes(connection, self._worker, now)):
                return None
            leased = leases.lease(connection, self._worker, now, room)
            found = endpoints.find(connection, {(it.workspace, it.lane) for it in leased})
        return Handed(leased, found, now + LEASE) if leased else None

    def _write_down(self, done: Sequence[Verdict]) -> set[tuple[int, object]]:
        with self._store.asking() as connection, connection.transaction():
            held = leases.finish(connection, [it.attempt for it in done])
            now = self._now()
            for lane, verdicts in sorted(_by_endpoint(done).items()):
                if any(it.is_well for it in verdicts):
                    endpoints.well(connection, lane)
                else:
                    endpoints.failed(connection, lane, len(verdicts), now)
                if any(it.is_gone for it in verdicts):
                    why = "it answered 410: it is gone, and asks to be sent nothing"
                    endpoints.disable(connection, lane, why, now)
        return set(held)

    def _give_back(self, unwanted: Sequence[Leased]) -> None:
        with self._store.asking() as connection:
            leases.give_back(connection, unwanted)


def _by_endpoint(done: Sequence[Verdict]) -> Mapping[Lane, Sequence[Verdict]]:
    found: dict[Lane, list[Verdict]] = defaultdict(list)
    for it in done:
        if it.is_well is not None:
            found[it.attempt.of.workspace, it.attempt.of.lane].append(it)
    return found
