"""Several workers over one database: if one dies the others go on, nothing is applied twice."""

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
from domain.definitions.definition import DefinitionVersion
from projections import PROJECTIONS
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from tests.fix_ledger import Bench
from tests.integration.projections.customers import customers
from tests.serving import ROOT, START_SECONDS, wait_until

CAUGHT_UP = 120.0
COUNT_BEYOND = "SELECT count(*) FROM projections.checkpoint WHERE position > :position"


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    engine = create_engine(bench.dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    yield engine
    engine.dispose()


@pytest.fixture
def worker(bench: Bench, tmp_path: Path) -> Iterator:
    """Start `foldline worker` in a new process."""
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


def test_one_of_two_workers_is_killed_and_the_result_equals_a_rebuild(
    bench: Bench, engine: Engine, worker
) -> None:
    condition = b'{"event": "Viewed", "count": {"at_least": 3}, "within": {"last": "30d"}}'
    SegmentService(bench.ledger).define(
        bench.workspace, "keen", DefinitionVersion("Keen", "", condition), CommandContext("key-1")
    )
    projector = Projector(bench.ledger, engine, PROJECTIONS)
    projector.prepare()

    def all_beyond(position: int) -> bool:
        with engine.connect() as tx:
            return tx.execute(text(COUNT_BEYOND), {"position": position}).scalar() == len(
                PROJECTIONS
            )

    first, second = worker(), worker()
    sent = 0
    for killed in range(2):
        for _ in range(15):
            bench.record(*customers(100, first=sent))
            sent += 100
        wait_until(lambda: all_beyond(1), START_SECONDS + CAUGHT_UP, "the workers follow")
        if not killed:
            bench.record(*customers(400, first=sent))
            sent += 400
            os.killpg(first.pid, signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
    head = bench.ledger.heads()[bench.workspace]
    wait_until(lambda: all_beyond(head - 1), CAUGHT_UP, "the other worker reaches the head")
    assert second.poll() is None
    os.killpg(second.pid, signal.SIGTERM)
    assert second.wait(30) in {0, 128 + signal.SIGTERM}

    lifecycle = RebuildService(projector)
    lifecycle.request([projection.name for projection in PROJECTIONS], "verify")
    for projection in PROJECTIONS:
        assert lifecycle.run_builds(projection.name)
    for name, build in lifecycle.status().items():
        assert build.result["same"], (name, build.result)
