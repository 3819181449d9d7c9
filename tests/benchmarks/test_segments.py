"""What segments cost: those that do not look at an event, those that do, and how soon membership is visible."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from application.ledger.ledger import Ledger
from projections import PROJECTIONS, segments, timeline
from projections.runtime import batch_size, parallel_apply
from projections.runtime.batch_size import BATCH_SIZE
from projections.runtime.projector import Projector
from projections.timeline import tables
from tests.benchmarks.database import Database
from tests.benchmarks.load import Load, send
from tests.benchmarks.paced import Pace, Paced
from tests.benchmarks.process import Worker
from tests.benchmarks.projecting import EVENTS, forget, over, record
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.segments import (
    Document,
    define,
    define_and_archive,
    elsewhere,
    looking,
    mixed,
)
from tests.benchmarks.server import apart
from tests.benchmarks.times import percentile
from tests.benchmarks.watching import visible_after, watched
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark

ELSEWHERE = scaled(1_000, least=20)
LOOKING = 100
BAR = 10_000
"""Events a second."""

SOME = 20
"""Segments that are held to the bar of seeing membership soon; `LOOKING` are shown beside them."""

BAR_MS = 300
SECONDS = scaled(20, least=2)


def test_segments_elsewhere_cost_an_event_nothing(fresh, report, say):
    name, conditions, pairs = "segments_elsewhere", elsewhere(ELSEWHERE), []
    prepared = [fresh(), fresh()]
    # As many decisions on both sides: read models look at their tables at some positions.
    for database, decide in zip(prepared, (define_and_archive, define), strict=True):
        with over(database) as (ledger, _):
            decide(ledger, database.workspace, conditions)
            record(ledger, database.workspace)
    for number in range(-1, ROUNDS):  # the first only warms up
        without, beside = in_turns(prepared, ELSEWHERE, first=number % 2)
        say(
            f"{name} round {number + 1}: {beside:,.0f} events/s beside {ELSEWHERE:,} segments,"
            f" {without:,.0f} without: {beside / without:.3f}"
        )
        pairs += [(beside, without)] if number >= 0 else []
    hold(
        report.rounds(
            name,
            pairs,
            unit="events/s",
            against="all read models without a segment",
            at_least=0.95,
            note=f"beside {ELSEWHERE:,} that look at other events and attributes",
        )
    )


def test_a_hundred_segments_take_ten_thousand_events_a_second(fresh, report, say):
    database, conditions = fresh(), mixed(LOOKING)
    note = f"{LOOKING} of mixed kinds, {looking(conditions):.1f} look at each event"
    with over(database) as (ledger, engine):
        define(ledger, database.workspace, conditions)
        record(ledger, database.workspace)
        pairs = []
        for number in range(-1, ROUNDS):
            alone, copied = of_segments_alone(ledger, engine, database, conditions)
            say(
                f"segments_100 round {number + 1}: {alone:,.0f} events/s of events that are decoded;"
                f" COPY of the timeline's rows {copied:,.0f}/s: ratio {alone / copied:.2f}"
            )
            pairs += [(alone, copied)] if number >= 0 else []
        bar = report.rounds(
            "segments_100",
            [(ours, BAR) for ours, _ in pairs],
            unit="events/s",
            against="the bar",
            at_least=1,
            note=f"{note}; the read model alone, events decoded",
        )
        against = f"COPY of the timeline's rows, {BATCH_SIZE} a transaction"
        report.rounds("segments_100_by_copy", pairs, unit="events/s", against=against)
        forget(database)
        projector = Projector(ledger, engine, PROJECTIONS)
        decided(projector, database, LOOKING)
        whole = rate(projector, database)
        report.rounds(
            "segments_100_all",
            [(whole, pairs[-1][1])],
            unit="events/s",
            against=against,
            note=f"all {len(PROJECTIONS)} read models, with the decoding",
        )
        say(f"segments_100_all: {whole:,.0f} events/s by all read models")
    hold(bar)


@pytest.mark.parametrize(("number", "bar"), [(SOME, 1), (LOOKING, None)])
def test_membership_visible_within_300_ms(fresh, report, say, number, bar):
    database = fresh()
    with over(database) as (ledger, _):
        define(ledger, database.workspace, mixed(number))
    with apart(database.dsn) as server:
        send(Load(port=server.port, key=database.write_key, events=5_000))
        database.settled()
        asked = Pace(
            port=server.port,
            write_key=database.write_key,
            read_key=database.read_key,
            seconds=SECONDS,
            look_at_every=0,
        )
        with (
            watched(database, "segments") as looks,
            Worker("tests.benchmarks.paced", asked, Paced) as sender,
        ):
            paced = sender.go()
    took, name = visible_after(paced.acknowledged, looks), f"membership_visible_{number}"
    say(
        f"{name}: {paced.rate:,.0f} events/s; p50 {percentile(took, 50):.0f} ms,"
        f" p99 {percentile(took, 99):.0f} ms, max {max(took):.0f} ms"
    )
    hold(
        report.rounds(
            name,
            [(percentile(took, 99), BAR_MS)],
            unit="ms",
            against="the bar",
            at_most=bar,
            note=f"p99 with {number} segments at {paced.rate:,.0f} events/s;"
            f" p50 {percentile(took, 50):.0f} ms",
        )
    )


def decided(projector: Projector, database: Database, left: int) -> None:
    """Bring the read models up to the last decision about a segment, and start from a checkpoint."""
    while left:
        left -= projector.advance(database.workspace, left)
    database.sql("CHECKPOINT")


def in_turns(prepared: Sequence[Database], decisions: int, *, first: int) -> list[float]:
    """Return the rates at which all read models take in each ledger, a batch of each after the other.

    So that both have the same of what else the machine does: by itself one side was up to a tenth slower or
    quicker in one round than in the next.  The first batch is left out, for the first of all has to make
    what both use, and who is prepared and goes first changes: that one was some hundredths quicker.
    """
    with ExitStack() as stack:
        projectors = {}
        for place in (first, 1 - first):
            ledger, engine = stack.enter_context(over(prepared[place]))
            forget(prepared[place])
            projectors[place] = Projector(ledger, engine, PROJECTIONS)
            decided(projectors[place], prepared[place], decisions)
        seconds, taken, order = [0.0, 0.0], [0, 0], list(projectors)
        for it in order:
            projectors[it].advance(prepared[it].workspace)
        while min(taken) < EVENTS - BATCH_SIZE:
            for it in order:
                started = time.perf_counter()
                taken[it] += projectors[it].advance(prepared[it].workspace)
                seconds[it] += time.perf_counter() - started
            order.reverse()
    assert taken == [EVENTS - BATCH_SIZE] * 2
    return [(EVENTS - BATCH_SIZE) / it for it in seconds]


def rate(projector: Projector, database: Database) -> float:
    """Return how many of the events that are left the read models take in a second."""
    started = time.perf_counter()
    taken = projector.catch_up(database.workspace)
    assert taken == EVENTS
    return taken / (time.perf_counter() - started)


def of_segments_alone(
    ledger: Ledger, engine: Engine, database: Database, conditions: Sequence[Document]
) -> tuple[float, float]:
    """Return the rate at which the one read model takes decoded events, and that of COPY."""
    forget(database)
    both = (timeline.projection, segments.projection)
    decided(Projector(ledger, engine, both), database, len(conditions))
    projector, workspace = Projector(ledger, engine, (segments.projection,)), database.workspace
    tempo, seconds, after = batch_size.AdaptiveBatchSize(), 0.0, len(conditions)
    head = after + EVENTS
    while after < head:
        with tempo.limit(head - after) as some:
            batch = projector.read_batch(workspace, after, some)
            assert batch is not None
            messages = list(batch.messages())
            started = time.perf_counter()
            with engine.begin() as tx:
                parallel_apply.apply([(tx, projector.projections)], batch)
            seconds += time.perf_counter() - started
        after += len(messages)
    assert after == head
    Projector(ledger, engine, both[:1]).catch_up(workspace)
    with Copy(database.dsn, str(tables.timeline), only="ordinal = 0") as yardstick:
        rows = yardstick.rows(0)
        database.sql("CHECKPOINT")
        return EVENTS / seconds, EVENTS / yardstick.copy(rows, BATCH_SIZE)
