"""The memory of an idle server, and the time until it is ready."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import serving
from tests.serving import Server

pytestmark = pytest.mark.benchmark

MEMORY_BAR_MB = 150
READY_BAR_SECONDS = 3
IDLE_SECONDS = 5


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="foldline-home-"))
    yield path
    shutil.rmtree(path)


def test_ready_and_idle_memory_of_a_server_with_its_own_database(home, report, say):
    with serving(home=home) as server:
        first = server.ready_after
    ready, memory = [], []
    for number in range(ROUNDS):
        with serving(home=home) as server:
            ready.append((server.ready_after, READY_BAR_SECONDS))
            time.sleep(scaled(IDLE_SECONDS))
            memory.append((server.memory(), MEMORY_BAR_MB))
        say(
            f"footprint round {number + 1}: ready after {ready[-1][0]:.2f} s, {memory[-1][0]:.0f} MB"
        )
    was_ready = report.rounds("ready", ready, unit="s", against="the bar", at_most=1)
    report.rounds(
        "ready_fresh_home",
        [(first, READY_BAR_SECONDS)],
        unit="s",
        against="the bar of an existing home",
        note="creates the database first",
    )
    idle = report.rounds(
        "idle_memory",
        memory,
        unit="MB",
        against="the bar",
        at_most=1,
        note=f"{IDLE_SECONDS} s after ready, without PostgreSQL; the aim is 100",
    )
    hold(was_ready, idle)


def test_ready_after_a_kill(home, report, say):
    server = Server(home, {"FOLDLINE_HOME": str(home)})
    server.start()
    ready = []
    try:
        for number in range(ROUNDS):
            server.kill()
            ready.append((server.start(), READY_BAR_SECONDS))
            say(f"footprint round {number + 1}: ready {ready[-1][0]:.2f} s after a kill")
    finally:
        server.stop()
    hold(report.rounds("ready_after_kill", ready, unit="s", against="the bar", at_most=1))
