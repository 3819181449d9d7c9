"""How soon an acknowledged event can be seen, while 2,000 more come in every second."""

from __future__ import annotations

import pytest

from tests.benchmarks.load import Load, send
from tests.benchmarks.paced import Pace, Paced
from tests.benchmarks.process import Worker
from tests.benchmarks.report import hold
from tests.benchmarks.scale import scaled
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile
from tests.benchmarks.watching import visible_after, watched

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
            watched(database) as looks,
            Worker("tests.benchmarks.paced", pace, Paced) as sender,
        ):
            paced = sender.go()
    took = visible_after(paced.acknowledged, looks)
    say(
        f"visible: {paced.rate:,.0f} events/s; p50 {percentile(took, 50):.0f} ms,"
        f" p99 {percentile(took, 99):.0f} ms, max {max(took):.0f} ms"
    )
    measured = report.rounds(
        "visible",
        [(percentile(took, 99), BAR_MS)],
        unit="ms",
        against="the bar",
        at_most=1,
        note=f"p99 at {paced.rate:,.0f} events/s; p50 {percentile(took, 50):.0f} ms",
    )
    seen = [it * 1000 for it in paced.seen_after]
    report.rounds(
        "visible_by_http",
        [(percentile(seen, 99), BAR_MS)],
        unit="ms",
        against="the bar",
        note=f"the same by asking the timeline of {len(seen)} profiles; p50 {percentile(seen, 50):.0f} ms",
    )
    hold(measured)
    assert paced.rate > 0.95 * EVENTS_A_SECOND, "the sender did not keep its pace"
