"""The cost of segments that read an event and of those that do not; membership latency."""

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
from tests.benchmarks.projecting import EVENTS, empty_read_models, open_ledger, record
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.segments import (
    Document,
    define,
    define_and_archive,
    elsewhere,
    mean_readers,
    mixed,
)
from tests.benchmarks.server import serving_as_compose
from tests.benchmarks.times import percentile
from tests.benchmarks.watching import sampled_positions, visible_after
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark

ELSEWHERE = scaled(1_000, least=20)
READING = 100
BAR = 10_000
"""Events a second."""

FEW = 20
"""Segments for which the membership latency has a bar; `READING` are for information."""

BAR_MS = 300
SECONDS = scaled(20, least=2)


def test_segments_that_read_other_events_cost_nothing(fresh, report, say):
    name, conditions, pairs = "segments_elsewhere", elsewhere(ELSEWHERE), []
    databases = [fresh(), fresh()]
    # As many definition events on both sides: read models inspect their tables at certain positions.
    for database, record_definitions in zip(databases, (define_and_archive, define), strict=True):
        with open_ledger(database) as (ledger, _):
            record_definitions(ledger, database.workspace, conditions)
            record(ledger, database.workspace)
    for number in range(-1, ROUNDS):  # the first only warms up
        without, beside = in_turns(databases, ELSEWHERE, first=number % 2)
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
            note=f"beside {ELSEWHERE:,} that read other events and attributes",
        )
    )


def test_a_hundred_segments_take_ten_thousand_events_a_second(fresh, report, say):
    database, conditions = fresh(), mixed(READING)
    note = f"{READING} of mixed kinds, {mean_readers(conditions):.1f} read each event"
    with open_ledger(database) as (ledger, engine):
        define(ledger, database.workspace, conditions)
        record(ledger, database.workspace)
        pairs = []
        for number in range(-1, ROUNDS):
            alone, copied = of_segments_alone(ledger, engine, database, conditions)
            say(
                f"segments_100 round {number + 1}: {alone:,.0f} events/s of decoded events;"
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
        empty_read_models(database)
        projector = Projector(ledger, engine, PROJECTIONS)
        apply_definitions(projector, database, READING)
        all_models = rate(projector, database)
        report.rounds(
            "segments_100_all",
            [(all_models, pairs[-1][1])],
            unit="events/s",
            against=against,
            note=f"all {len(PROJECTIONS)} read models, decoding included",
        )
        say(f"segments_100_all: {all_models:,.0f} events/s by all read models")
    hold(bar)


@pytest.mark.parametrize(("number", "bar"), [(FEW, 1), (READING, None)])
def test_membership_visible_within_300_ms(fresh, report, say, number, bar):
    database = fresh()
    with open_ledger(database) as (ledger, _):
        define(ledger, database.workspace, mixed(number))
    with serving_as_compose(database.dsn) as server:
        send(Load(port=server.port, key=database.write_key, events=5_000))
        database.wait_until_projected()
        pace = Pace(
            port=server.port,
            write_key=database.write_key,
            read_key=database.read_key,
            seconds=SECONDS,
            poll_every=0,
        )
        with (
            sampled_positions(database, "segments") as samples,
            Worker("tests.benchmarks.paced", pace, Paced) as sender,
        ):
            paced = sender.go()
    latencies, name = visible_after(paced.acknowledged, samples), f"membership_visible_{number}"
    say(
        f"{name}: {paced.rate:,.0f} events/s; p50 {percentile(latencies, 50):.0f} ms,"
        f" p99 {percentile(latencies, 99):.0f} ms, max {max(latencies):.0f} ms"
    )
    hold(
        report.rounds(
            name,
            [(percentile(latencies, 99), BAR_MS)],
            unit="ms",
            against="the bar",
            at_most=bar,
            note=f"p99 with {number} segments at {paced.rate:,.0f} events/s;"
            f" p50 {percentile(latencies, 50):.0f} ms",
        )
    )


def apply_definitions(projector: Projector, database: Database, left: int) -> None:
    """Applies the given number of definition events, then writes a checkpoint."""
    while left:
        left -= projector.advance(database.workspace, left)
    database.sql("CHECKPOINT")


def in_turns(databases: Sequence[Database], definitions: int, *, first: int) -> list[float]:
    """Returns the rates at which all read models apply each ledger, in alternate batches.

    Alternating gives both the same share of the machine's other load: measured serving_as_compose, one side was up to a
    tenth slower or quicker in one round than in the next.  The first batch is left out, because the first
    one creates what both use.  The side that is prepared first and goes first changes, because that side
    was some hundredths quicker.
    """
    with ExitStack() as stack:
        projectors = {}
        for side in (first, 1 - first):
            ledger, engine = stack.enter_context(open_ledger(databases[side]))
            empty_read_models(databases[side])
            projectors[side] = Projector(ledger, engine, PROJECTIONS)
            apply_definitions(projectors[side], databases[side], definitions)
        seconds, applied, order = [0.0, 0.0], [0, 0], list(projectors)
        for side in order:
            projectors[side].advance(databases[side].workspace)
        while min(applied) < EVENTS - BATCH_SIZE:
            for side in order:
                started = time.perf_counter()
                applied[side] += projectors[side].advance(databases[side].workspace)
                seconds[side] += time.perf_counter() - started
            order.reverse()
    assert applied == [EVENTS - BATCH_SIZE] * 2
    return [(EVENTS - BATCH_SIZE) / duration for duration in seconds]


def rate(projector: Projector, database: Database) -> float:
    """Returns the rate, in events a second, at which the read models apply the remaining events."""
    started = time.perf_counter()
    applied = projector.catch_up(database.workspace)
    assert applied == EVENTS
    return applied / (time.perf_counter() - started)


def of_segments_alone(
    ledger: Ledger, engine: Engine, database: Database, conditions: Sequence[Document]
) -> tuple[float, float]:
    """Returns the rate at which the one read model applies decoded events, and that of COPY."""
    empty_read_models(database)
    both = (timeline.projection, segments.projection)
    apply_definitions(Projector(ledger, engine, both), database, len(conditions))
    projector, workspace = Projector(ledger, engine, (segments.projection,)), database.workspace
    batch_sizes, seconds, after = batch_size.AdaptiveBatchSize(), 0.0, len(conditions)
    head = after + EVENTS
    while after < head:
        with batch_sizes.limit(head - after) as limit:
            batch = projector.read_batch(workspace, after, limit)
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
