"""Segments at three million events: the backfill of a new one, and explanations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import psycopg
import pytest
import uvloop

from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from application.ledger.ledger import Ledger
from domain.definitions.definition import DefinitionVersion
from projections import segments, timeline
from projections.runtime.projector import Projector
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database
from tests.benchmarks.ingesting import settle
from tests.benchmarks.projecting import open_ledger
from tests.benchmarks.questions import sample_events
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.seed import EVENTS
from tests.benchmarks.segments import Document, define, mixed
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

SEGMENTS = 20
QUESTIONS = scaled(500, least=50)
MOST_MS = 30
BY = CommandContext(actor="bench")


class Backfill(NamedTuple):
    """A condition, and its members as hand-written SQL."""

    condition: Document
    members: str


_EVENTS_NAMED = (
    "SELECT stream FROM {timeline} WHERE workspace = %(workspace)s AND ordinal = 0 AND name = "
)
KINDS = {
    "count": Backfill(
        {"event": "product_viewed", "count": {"at_least": 3}, "within": {"last": "30d"}},
        _EVENTS_NAMED + "'product_viewed' AND occurred_at > now() - interval '30 days'"
        " GROUP BY stream HAVING count(*) >= 3",
    ),
    "both": Backfill(
        {
            "all": [
                {"event": "product_added", "within": {"last": "30d"}},
                {"none": [{"event": "order_completed"}]},
            ]
        },
        _EVENTS_NAMED + "'product_added' AND occurred_at > now() - interval '30 days'"
        " EXCEPT " + _EVENTS_NAMED + "'order_completed'",
    ),
    "ever": Backfill(
        {"event": "product_viewed", "count": {"at_least": 20}},
        _EVENTS_NAMED + "'product_viewed' GROUP BY stream HAVING count(*) >= 20",
    ),
    "filtered": Backfill(
        {
            "event": "page_opened",
            "where": [{"path": "properties.total", "op": "gt", "value": 1000}],
            "count": {"at_least": 2},
            "within": {"last": "90d"},
        },
        _EVENTS_NAMED + "'page_opened' AND occurred_at > now() - interval '90 days'"
        " AND (properties->>'total')::numeric > 1000 GROUP BY stream HAVING count(*) >= 2",
    ),
    "last": Backfill(
        {"event": "session_started", "occurrence": "last", "older_than": "45d"},
        _EVENTS_NAMED + "'session_started' GROUP BY stream"
        " HAVING max(occurred_at) <= now() - interval '45 days'",
    ),
    "sum": Backfill(
        {
            "event": "order_completed",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 3000},
        },
        _EVENTS_NAMED
        + "'order_completed' GROUP BY stream HAVING sum((properties->>'total')::numeric) >= 3000",
    ),
    "sum_in_window": Backfill(
        {
            "event": "order_completed",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 3000},
            "within": {"last": "90d"},
        },
        _EVENTS_NAMED + "'order_completed' AND occurred_at > now() - interval '90 days'"
        " GROUP BY stream HAVING sum((properties->>'total')::numeric) >= 3000",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_backfill_takes_at_most_three_times_the_sql(kind, full, report, say):
    backfill, pairs = KINDS[kind], []
    with (
        open_ledger(full) as (ledger, engine),
        psycopg.connect(full.dsn, autocommit=True) as by_hand,
    ):
        service = SegmentService(ledger)
        before = Projector(ledger, engine, (timeline.projection,))
        projector = Projector(ledger, engine, (segments.projection,))
        sql = backfill.members.format(timeline=timeline.tables.timeline)
        for number in range(-1, ROUNDS):  # the first only warms both up
            version = DefinitionVersion(kind, document=msgspec.json.encode(backfill.condition))
            service.define(full.workspace, kind, version, BY)
            before.catch_up(full.workspace)
            ours, handwritten = 0.0, 0.0
            for side in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                if side:
                    members = len(by_hand.execute(sql, {"workspace": full.workspace}).fetchall())
                    handwritten = time.perf_counter() - started
                else:
                    projector.catch_up(full.workspace)
                    ours = time.perf_counter() - started
            stored = full.sql(
                f"SELECT count(*) FROM {segments.tables.member} WHERE segment = %s", kind
            )
            # The clock advanced between the two, so a few may have left the window.
            assert abs(stored[0][0] - members) <= max(2, members // 1_000), (stored, members)
            service.archive(full.workspace, kind, BY)
            before.catch_up(full.workspace)
            projector.catch_up(full.workspace)
            say(
                f"look_back_{kind} round {number + 1}: {ours:.2f} s for {members:,} members,"
                f" by hand {handwritten:.2f} s: {ours / handwritten:.1f} times"
            )
            pairs += [(ours, handwritten)] if number >= 0 else []
    hold(
        report.rounds(
            f"look_back_{kind}",
            pairs,
            unit="s",
            against="the one SQL statement that finds the members",
            at_most=3,
            note=f"{members:,} members of {EVENTS:,} events",
        )
    )


def test_explain_within_30_ms(full, report, say):
    with mixed_segments(full) as last, serving(dsn=full.dsn) as server, gc_disabled():
        settle(full, wait=True)
        paths = [
            f"/v1/segments/s-{number % SEGMENTS}/explain/{event.ref}"
            for number, event in enumerate(sample_events(full, QUESTIONS, last))
        ]
        rounds = []
        for number in range(-1, ROUNDS):
            durations = uvloop.run(measure(paths, server.port, full.read_key))
            say(
                f"explain round {number + 1}: p99 {percentile(durations, 99):.1f} ms,"
                f" p50 {percentile(durations, 50):.1f} ms"
            )
            rounds += [(percentile(durations, 99), MOST_MS)] if number >= 0 else []
    hold(
        report.rounds(
            "explain",
            rounds,
            unit="ms",
            against="the bar",
            at_most=1,
            note=f"p99 of {len(paths)}, {SEGMENTS} segments of mixed kinds at {EVENTS:,} events",
        )
    )


@contextmanager
def mixed_segments(database: Database) -> Iterator[int]:
    """Defines and backfills segments of mixed kinds, archived on exit; yields the last position."""
    both = (timeline.projection, segments.projection)
    with open_ledger(database) as (ledger, engine):
        define(ledger, database.workspace, mixed(SEGMENTS))
        Projector(ledger, engine, both).catch_up(database.workspace)
    yield EVENTS
    with open_ledger(database) as (ledger, _):
        archive(ledger, database.workspace)


def archive(ledger: Ledger, workspace: int) -> None:
    """Archives the segments, so that later benchmarks have none."""
    for number in range(SEGMENTS):
        SegmentService(ledger).archive(workspace, f"s-{number}", BY)


async def measure(paths: list[str], port: int, key: str) -> list[float]:
    """Sends the queries one after the other; returns the milliseconds of each."""
    durations = []
    async with Connection.several(port) as [connection]:
        for path in paths:
            request = get(path, key)
            started = time.perf_counter()
            await connection.expect(request)
            durations.append((time.perf_counter() - started) * 1000)
    return durations
