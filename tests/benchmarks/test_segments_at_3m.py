"""What segments cost at three million events: to look back for a new one, and to say why somebody is in one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import psycopg
import pytest
import uvloop

from application.definitions.segments import CommandContext, SegmentService
from application.ledger.ledger import Ledger
from domain.segments.segment import SegmentVersion
from projections import segments, timeline
from projections.runtime.projector import Projector
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database
from tests.benchmarks.ingesting import settle
from tests.benchmarks.projecting import over
from tests.benchmarks.questions import places
from tests.benchmarks.quiet import still
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.seed import EVENTS
from tests.benchmarks.segments import Document, define, mixed
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

LOOKING = 20
QUESTIONS = scaled(500, least=50)
MOST_MS = 30
BY = CommandContext(actor="bench")


class Asked(NamedTuple):
    """A condition, and who meets it in SQL as one would write it by hand."""

    condition: Document
    members: str


_OF = "SELECT stream FROM {timeline} WHERE workspace = %(workspace)s AND ordinal = 0 AND name = "
KINDS = {
    "count": Asked(
        {"event": "product_viewed", "count": {"at_least": 3}, "within": {"last": "30d"}},
        _OF + "'product_viewed' AND occurred_at > now() - interval '30 days'"
        " GROUP BY stream HAVING count(*) >= 3",
    ),
    "both": Asked(
        {
            "all": [
                {"event": "product_added", "within": {"last": "30d"}},
                {"none": [{"event": "order_completed"}]},
            ]
        },
        _OF + "'product_added' AND occurred_at > now() - interval '30 days'"
        " EXCEPT " + _OF + "'order_completed'",
    ),
    "ever": Asked(
        {"event": "product_viewed", "count": {"at_least": 20}},
        _OF + "'product_viewed' GROUP BY stream HAVING count(*) >= 20",
    ),
    "filtered": Asked(
        {
            "event": "page_opened",
            "where": [{"path": "properties.total", "op": "gt", "value": 1000}],
            "count": {"at_least": 2},
            "within": {"last": "90d"},
        },
        _OF + "'page_opened' AND occurred_at > now() - interval '90 days'"
        " AND (properties->>'total')::numeric > 1000 GROUP BY stream HAVING count(*) >= 2",
    ),
    "last": Asked(
        {"event": "session_started", "occurrence": "last", "older_than": "45d"},
        _OF + "'session_started' GROUP BY stream"
        " HAVING max(occurred_at) <= now() - interval '45 days'",
    ),
    "sum": Asked(
        {
            "event": "order_completed",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 3000},
        },
        _OF
        + "'order_completed' GROUP BY stream HAVING sum((properties->>'total')::numeric) >= 3000",
    ),
    "sum_in_window": Asked(
        {
            "event": "order_completed",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 3000},
            "within": {"last": "90d"},
        },
        _OF + "'order_completed' AND occurred_at > now() - interval '90 days'"
        " GROUP BY stream HAVING sum((properties->>'total')::numeric) >= 3000",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_segment_looks_back_within_three_times_the_sql(kind, full, report, say):
    asked, pairs = KINDS[kind], []
    with over(full) as (ledger, engine), psycopg.connect(full.dsn, autocommit=True) as by_hand:
        decisions = SegmentService(ledger)
        before = Projector(ledger, engine, (timeline.projection,))
        projector = Projector(ledger, engine, (segments.projection,))
        sql = asked.members.format(timeline=timeline.tables.timeline)
        for number in range(-1, ROUNDS):  # the first only warms both up
            wanted = SegmentVersion(kind, condition=msgspec.json.encode(asked.condition))
            decisions.define(full.workspace, kind, wanted, BY)
            before.catch_up(full.workspace)
            took, theirs = 0.0, 0.0
            for side in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                if side:
                    members = len(by_hand.execute(sql, {"workspace": full.workspace}).fetchall())
                    theirs = time.perf_counter() - started
                else:
                    projector.catch_up(full.workspace)
                    took = time.perf_counter() - started
            kept = full.sql(
                f"SELECT count(*) FROM {segments.tables.member} WHERE segment = %s", kind
            )
            # The clock moved on between the two, so that a few may have left the window.
            assert abs(kept[0][0] - members) <= max(2, members // 1_000), (kept, members)
            decisions.archive(full.workspace, kind, BY)
            before.catch_up(full.workspace)
            projector.catch_up(full.workspace)
            say(
                f"look_back_{kind} round {number + 1}: {took:.2f} s for {members:,} members,"
                f" by hand {theirs:.2f} s: {took / theirs:.1f} times"
            )
            pairs += [(took, theirs)] if number >= 0 else []
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
    with segments_over(full) as asked, serving(dsn=full.dsn) as server, still():
        settle(full, wait=True)
        paths = [
            f"/v1/segments/s-{number % LOOKING}/explain/{it.ref}"
            for number, it in enumerate(places(full, QUESTIONS, asked))
        ]
        rounds = []
        for number in range(-1, ROUNDS):
            took = uvloop.run(answered(paths, server.port, full.read_key))
            say(
                f"explain round {number + 1}: p99 {percentile(took, 99):.1f} ms,"
                f" p50 {percentile(took, 50):.1f} ms"
            )
            rounds += [(percentile(took, 99), MOST_MS)] if number >= 0 else []
    hold(
        report.rounds(
            "explain",
            rounds,
            unit="ms",
            against="the bar",
            at_most=1,
            note=f"p99 of {len(paths)}, {LOOKING} segments of mixed kinds at {EVENTS:,} events",
        )
    )


@contextmanager
def segments_over(database: Database) -> Iterator[int]:
    """Have segments of mixed kinds, looked back for, while inside; give the last of the events."""
    both = (timeline.projection, segments.projection)
    with over(database) as (ledger, engine):
        define(ledger, database.workspace, mixed(LOOKING))
        Projector(ledger, engine, both).catch_up(database.workspace)
    yield EVENTS
    with over(database) as (ledger, _):
        archive(ledger, database.workspace)


def archive(ledger: Ledger, workspace: int) -> None:
    """Leave no segment behind for the benchmarks that follow."""
    for number in range(LOOKING):
        SegmentService(ledger).archive(workspace, f"s-{number}", BY)


async def answered(paths: list[str], port: int, key: str) -> list[float]:
    """Ask each question, one after the other; return the milliseconds that each took."""
    took = []
    async with Connection.several(port) as [connection]:
        for path in paths:
            request = get(path, key)
            started = time.perf_counter()
            await connection.expect(request)
            took.append((time.perf_counter() - started) * 1000)
    return took
