"""A projector in a process of its own, which dies at a chosen exchange with the database."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import Any

import structlog
from psycopg import Connection
from sqlalchemy import Engine, create_engine, text

from domain.profiles.as_of import LedgerPoint
from projections import PROJECTIONS
from projections.rebuild import builds
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size, checkpoint
from projections.runtime.projector import Projector
from tests.integration.projections.history import ListFeed

BATCH = 14
KILLED = 137

_processes = multiprocessing.get_context(
    "forkserver"
)  # pytest's own has threads, and must not fork
_processes.set_forkserver_preload([__name__])

Job = Callable[[Projector], None]


class Clock(ListFeed):
    """A ledger on which time may have gone by since its last event."""

    now: datetime | None = None

    def clock(self, workspace: int) -> LedgerPoint:
        last = super().clock(workspace)
        return last if self.now is None else last._replace(recorded_at=self.now)


def follow(projector: Projector, *, workspace: int) -> None:
    """Take every batch, as a worker does."""
    projector.catch_up(workspace, BATCH)


def wait(projector: Projector, *, workspace: int) -> None:
    """Let time go by on an idle ledger."""
    projector.advance_time(workspace)


def build(projector: Projector, *, name: str) -> None:
    """Rebuild a read model, or resume a rebuild that another worker began."""
    lifecycle = RebuildService(projector)
    with projector.engine.begin() as tx:
        tx.execute(text("UPDATE projections.build SET leased_until = NULL"))
    while lifecycle.status()[name].unfinished:
        lifecycle.run_builds(name)


def with_its_checkpoint_apart(projector: Projector, *, job: Job) -> None:
    """Do the job without the protection: the checkpoint is committed before the rows."""
    for module in (checkpoint, builds):
        module.advance = partial(_apart, module.advance)  # type: ignore[attr-defined]
    job(projector)


def _apart(advance: Callable[..., Any], tx: Any, *args: Any, **where: Any) -> Any:
    with tx.engine.begin() as own:
        return advance(own, *args, **where)


@contextmanager
def engine_on(dsn: str) -> Iterator[Engine]:
    engine = create_engine(
        dsn.replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={
            "options": "-c synchronous_commit=off"
        },  # processes die here, not the machine
    )
    yield engine
    engine.dispose()


class Worker:
    """Does jobs, each in a process of its own; all are forked from one that has it all imported."""

    def __init__(self, dsn: str, feed: ListFeed) -> None:
        self._feed = feed
        self._pipe, theirs = _processes.Pipe()
        self._nursery = _processes.Process(target=_nursery, args=(dsn, theirs), daemon=True)
        self._nursery.start()
        theirs.close()

    def close(self) -> None:
        self._pipe.close()
        self._nursery.join()

    def do(self, job: Job) -> int:
        """Do a job to its end; return how many exchanges with the database that takes."""
        exchanges = self._run(job, None)
        assert exchanges is not None
        return exchanges

    def die(self, job: Job, after: int) -> None:
        """Do a job, and die after so many exchanges, once the next is sent."""
        assert self._run(job, after) is None

    def _run(self, job: Job, after: int | None) -> int | None:
        self._pipe.send((self._feed, job, after))
        exitcode, exchanges = self._pipe.recv()
        assert exitcode == (0 if after is None else KILLED), "it died of something else"
        return exchanges


def _nursery(dsn: str, pipe: Pipe) -> None:
    """Fork a process for each requested job, until the pipe is closed."""
    batch_size.BATCH_SIZE = BATCH
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with engine_on(dsn) as engine, suppress(EOFError):
        while True:
            feed, job, after = pipe.recv()
            answer, theirs = _processes.Pipe(duplex=False)
            if (child := os.fork()) == 0:
                _do(engine, feed, job, after, theirs)
                os._exit(0)
            theirs.close()
            result = None
            with answer, suppress(EOFError):
                result = answer.recv()
            pipe.send((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), result))


def _do(engine: Engine, feed: ListFeed, job: Job, after: int | None, answer: Pipe) -> None:
    engine.dispose(close=False)
    engine.connect().close()
    counting = _Counting(after)
    job(Projector(feed, engine, PROJECTIONS))
    answer.send(counting.exchanges)


class _Counting:
    """Counts what all connections send, statement by statement, COPY by COPY, and every commit."""

    def __init__(self, after: int | None) -> None:
        self.exchanges = 0
        to_the_end = Connection.wait

        def wait(connection: Connection[Any], exchange: Any, *args: Any, **more: Any) -> Any:
            if self.exchanges == after:
                with suppress(StopIteration):
                    next(exchange)
                os._exit(KILLED)
            self.exchanges += 1
            return to_the_end(connection, exchange, *args, **more)

        Connection.wait = wait  # type: ignore[method-assign]
