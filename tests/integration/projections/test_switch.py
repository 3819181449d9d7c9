"""A rebuilt read model replaces the live one while events and queries go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from time import sleep

import pytest
from sqlalchemy import select, text

from interfaces.query_connections import create_query_engine
from projections import PROJECTIONS, timeline
from projections.rebuild import switch
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size, checkpoint
from projections.runtime.projector import Projector
from projections.runtime.worker import work
from projections.timeline.tables import timeline as rows
from tests.builders import tracked

POSITION = select(checkpoint.checkpoint.c.position).where(
    checkpoint.checkpoint.c.workspace == 1, checkpoint.checkpoint.c.name == "timeline"
)
COUNT = f"SELECT count(*) FROM {rows} WHERE workspace = 1 AND ordinal = 0"


@pytest.fixture
def reading(database):
    engine = create_query_engine(database)
    yield engine
    engine.dispose()


class Running:
    """A ledger that is written to, a projector, and readers, all at once, until it is closed."""

    def __init__(self, bench, reading, engine) -> None:
        self.bench, self.reading = bench, reading
        self.projector = Projector(bench.ledger, engine, PROJECTIONS)
        self.projector.prepare()
        self.answers, self.wrong = 0, []
        self.stop = Event()
        self.threads = [Thread(target=work, args=(self.projector, self.stop))]
        self.threads += [self.thread(self.write)]
        self.threads += [self.thread(self.read, pause) for pause in (0, 0.002, 0.05)]

    def thread(self, turn: Callable[..., None], *args) -> Thread:
        def turns() -> None:
            while not self.stop.is_set():
                try:
                    turn(*args)
                except Exception as error:  # noqa: BLE001 - the test tells of it
                    self.wrong.append(error)

        return Thread(target=turns)

    def write(self) -> None:
        self.bench.record(*(tracked("Viewed", properties={"n": n}) for n in range(20)))
        sleep(0.02)

    def read(self, pause: float) -> None:
        """Each message is one row: an answer has as many as its position says."""
        with self.reading.connect() as tx:
            position = tx.execute(POSITION).scalar() or 0
            sleep(pause)
            found = tx.exec_driver_sql(COUNT).scalar()
        self.answers += 1
        if found != position:
            self.wrong.append((found, position))


@contextmanager
def running(bench, reading, engine):
    it = Running(bench, reading, engine)
    for thread in it.threads:
        thread.start()
    try:
        yield it
    finally:
        it.stop.set()
        for thread in it.threads:
            thread.join(20)


def test_the_old_generation_answers_until_the_new_one_does(bench, reading, engine, monkeypatch):
    for it in ("BATCH_SIZE", "MAX_BATCH_SIZE"):
        monkeypatch.setattr(batch_size, it, 1_000)
    with running(bench, reading, engine) as it:
        lifecycle = RebuildService(it.projector)
        for _ in range(5):
            answered = it.answers
            lifecycle.request(["timeline", "event_catalogue"], "rebuild", restart=True)
            assert lifecycle.run_builds("timeline")
            assert lifecycle.run_builds("event_catalogue")
            assert it.answers > answered
    assert it.wrong == []
    assert bench.ledger.heads()[1] > 500
    it.projector.catch_up()
    for name in ("timeline", "event_catalogue"):
        lifecycle.request([name], "verify")
        assert lifecycle.run_builds(name)
        assert lifecycle.status()[name].result["same"]


def ask_across_the_switch(given, reading) -> tuple[int, int]:
    """Ask for the position before the last batch is built, and for the rows after the switch."""
    given.messages(*(tracked() for _ in range(10)))
    lifecycle = RebuildService(given.projector)
    lifecycle.request(["timeline"], "rebuild")
    begun, switched = Event(), Event()
    found = []

    def read() -> None:
        with reading.connect() as tx:
            position = tx.execute(POSITION).scalar()
            begun.set()
            switched.wait(1)
            found.append((tx.exec_driver_sql(COUNT).scalar(), position))

    reader = Thread(target=read)
    reader.start()
    assert begun.wait(10)
    assert lifecycle.run_builds("timeline")
    switched.set()
    reader.join()
    return found[0]


def test_a_query_that_began_before_is_answered_from_the_old_tables(given, reading):
    assert ask_across_the_switch(given, reading) == (10, 10)


def test_without_waiting_for_it_a_query_would_miss_later_rows(given, reading, monkeypatch):
    monkeypatch.setattr(switch, "wait_for_queries", lambda *_: True)
    assert ask_across_the_switch(given, reading) == (0, 10)


def test_a_long_query_delays_the_switch_and_no_other_query(given, reading):
    given.messages(*(tracked() for _ in range(10)))
    lifecycle = RebuildService(given.projector)
    lifecycle.request(["timeline"], "rebuild")
    stop = Event()
    with ExitStack() as stack:
        tx = stack.enter_context(reading.connect())
        tx.execute(POSITION)
        building = Thread(target=lifecycle.run_builds, args=("timeline",), kwargs={"stop": stop})
        building.start()
        for n in range(5):
            sleep(0.2)
            given.messages(tracked(f"Bought-{n}"))
            assert given.names()[0] == f"Bought-{n}"
        assert lifecycle.status()["timeline"].state == "running"
    building.join(20)
    assert lifecycle.status()["timeline"].state == "done"
    assert len(given.names()) == 15


def test_without_the_hold_events_would_be_lost(given, monkeypatch):
    """The projector takes a batch into the old tables after the last was taken into the new."""
    monkeypatch.setattr(switch, "lock_read_models", lambda _: True)
    gone = switch.wait_for_queries

    def later(*args):
        given.messages(tracked("Bought"))
        return gone(*args)

    monkeypatch.setattr(switch, "wait_for_queries", later)
    given.messages(tracked("Viewed"))
    lifecycle = RebuildService(given.projector)
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    assert given.names() == ["Viewed"]


def test_what_a_crash_left_to_be_dropped_does_not_stand_in_the_way(given, monkeypatch):
    lifecycle = RebuildService(given.projector)
    given.messages(tracked())
    monkeypatch.setattr(switch, "drop_old", lambda *_: False)
    for _ in range(2):
        lifecycle.request(["timeline"], "rebuild")
        assert lifecycle.run_builds("timeline")
    monkeypatch.undo()
    assert switch.drop_old(given.engine, timeline.projection.schema)
    with given.engine.connect() as tx:
        left = tx.execute(text("SELECT count(*) FROM pg_namespace WHERE nspname ~ '_(old|next)$'"))
        assert left.scalar() == 0
    assert given.names() == ["Viewed"]
