"""Homes of the embedded database, processes that open them, and helpers to inspect them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from interfaces.embedded.account import binaries_folder
from interfaces.embedded.cluster import Cluster
from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_postgres import homes

ROOT = Path(__file__).parents[1]
IS_ROOT = os.geteuid() == 0

OPEN = """
import os, sys, time
from pathlib import Path
from interfaces.embedded.postgres import EmbeddedPostgres
database = EmbeddedPostgres(Path(sys.argv[1]))
print(database.open(), flush=True)
"""
WAIT_FOR_LINE = OPEN + "sys.stdin.readline()\n"
WAIT_THEN_CLOSE = WAIT_FOR_LINE + "database.close()\n"
SERVES = """
import sys
from pathlib import Path
import uvicorn
from interfaces.embedded.postgres import EmbeddedPostgres

async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    print("ready", flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

with EmbeddedPostgres(Path(sys.argv[1])):
    uvicorn.run(app, port=0, log_level="error")
"""
FORKS = (
    OPEN
    + """
if os.fork() == 0:
    database.close()
    sys.exit()
os.wait()
print("forked", flush=True)
sys.stdin.readline()
"""
)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="foldline-home-", dir=homes()))
    try:
        yield folder
    finally:
        Cluster(folder / "postgres").stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, as a home before its first start."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def initialised_home() -> Iterator[Path]:
    with temporary_folder() as folder:
        with EmbeddedPostgres(folder):
            pass
        yield folder


@pytest.fixture
def home(folder: Path, initialised_home: Path) -> Path:
    """A home that was started before; copied, as that is faster than another first start."""
    subprocess.run(["cp", "-a", initialised_home / "postgres", folder], check=True)
    return folder


def start_process(code: str, home: Path) -> subprocess.Popen[str]:
    """Start the code in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def process(code: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that runs the code, after its first line of output."""
    child = start_process(code, home)
    try:
        assert child.stdout.readline(), "the process ended before it printed anything"
        yield child
    finally:
        child.kill()
        child.communicate(timeout=30)


def send_line(child: subprocess.Popen[str]) -> int:
    child.stdin.write("\n")
    child.stdin.flush()
    return child.wait(60)


def postmaster(home: Path) -> int | None:
    return Cluster(home / "postgres").postmaster()


def was_stopped_cleanly(home: Path) -> bool:
    output = subprocess.check_output(
        [binaries_folder() / "pg_controldata", home / "postgres"], text=True, env={"LC_ALL": "C"}
    )
    return postmaster(home) is None and "cluster state:               shut down\n" in output


def execute(dsn: str, statement: str) -> list[tuple]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
