"""Several workers over one database: whoever dies, the others go on, and nothing is taken twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from domain.segments.segment import SegmentVersion
from projections import PROJECTIONS
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from tests.fix_ledger import Bench
from tests.integration.projections.customers import customers
from tests.serving import ROOT, START_SECONDS, wait_until

CAUGHT_UP = 120.0
MOVED = "SELECT count(*) FROM projections.checkpoint WHERE position > :than"


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    made = create_engine(bench.dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.dispose()


@pytest.fixture
def worker(bench: Bench, tmp_path: Path) -> Iterator:
    """Start `foldline worker` as a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "interfaces.cli.main", "worker"],
                cwd=ROOT,
                env=os.environ | {"FOLDLINE_DSN": bench.dsn},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_of_two_workers_one_is_killed_under_load_and_all_is_as_if_rebuilt(
    bench: Bench, engine: Engine, worker
) -> None:
    condition = b'{"event": "Viewed", "count": {"at_least": 3}, "within": {"last": "30d"}}'
    SegmentService(bench.ledger).define(
        bench.workspace, "keen", SegmentVersion("Keen", "", condition), CommandContext("key-1")
    )
    projector = Projector(bench.ledger, engine, PROJECTIONS)
    projector.prepare()

    def moved(than: int) -> bool:
        with engine.connect() as tx:
            return tx.execute(text(MOVED), {"than": than}).scalar() == len(PROJECTIONS)

    victim, survivor = worker(), worker()
    sent = 0
    for killed in range(2):
        for _ in range(15):
            bench.record(*customers(100, first=sent))
            sent += 100
        wait_until(lambda: moved(1), START_SECONDS + CAUGHT_UP, "the workers follow")
        if not killed:
            bench.record(*customers(400, first=sent))
            sent += 400
            os.killpg(victim.pid, signal.SIGKILL)
            assert victim.wait() == -signal.SIGKILL
    head = bench.ledger.heads()[bench.workspace]
    wait_until(lambda: moved(head - 1), CAUGHT_UP, "the other worker goes on to the end")
    assert survivor.poll() is None
    os.killpg(survivor.pid, signal.SIGTERM)
    assert survivor.wait(30) in {0, 128 + signal.SIGTERM}

    lifecycle = RebuildService(projector)
    lifecycle.request([it.name for it in PROJECTIONS], "verify")
    for projection in PROJECTIONS:
        assert lifecycle.run_builds(projection.name)
    for name, build in lifecycle.status().items():
        assert build.result["same"], (name, build.result)
