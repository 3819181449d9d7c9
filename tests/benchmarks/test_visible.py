"""The time until an acknowledged event is visible, at 2,000 events a second."""

from __future__ import annotations

import pytest

from tests.benchmarks.load import Load, send
from tests.benchmarks.paced import Pace, Paced
from tests.benchmarks.process import Worker
from tests.benchmarks.report import hold
from tests.benchmarks.scale import scaled
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile
from tests.benchmarks.watching import sampled_positions, visible_after

pytestmark = pytest.mark.benchmark


BAR_MS = 250
SECONDS = scaled(20, least=2)
EVENTS_A_SECOND = 2_000


def test_visible_within_a_quarter_of_a_second(fresh, report, say):
    database = fresh()
    with serving(dsn=database.dsn) as server:
        send(Load(port=server.port, key=database.write_key, events=5_000))
        pace = Pace(
            port=server.port,
            write_key=database.write_key,
            read_key=database.read_key,
            seconds=SECONDS,
        )
        assert pace.per_batch * pace.batches_a_second == EVENTS_A_SECOND
        with (
            sampled_positions(database) as samples,
            Worker("tests.benchmarks.paced", pace, Paced) as sender,
        ):
            paced = sender.go()
    latencies = visible_after(paced.acknowledged, samples)
    say(
        f"visible: {paced.rate:,.0f} events/s; p50 {percentile(latencies, 50):.0f} ms,"
        f" p99 {percentile(latencies, 99):.0f} ms, max {max(latencies):.0f} ms"
    )
    measured = report.rounds(
        "visible",
        [(percentile(latencies, 99), BAR_MS)],
        unit="ms",
        against="the bar",
        at_most=1,
        note=f"p99 at {paced.rate:,.0f} events/s; p50 {percentile(latencies, 50):.0f} ms",
    )
    seen = [seconds * 1000 for seconds in paced.seen_after]
    report.rounds(
        "visible_by_http",
        [(percentile(seen, 99), BAR_MS)],
        unit="ms",
        against="the bar",
        note=f"the same by polling the timeline of {len(seen)} profiles; p50 {percentile(seen, 50):.0f} ms",
    )
    hold(measured)
    assert paced.rate > 0.95 * EVENTS_A_SECOND, "the sender did not keep its pace"
