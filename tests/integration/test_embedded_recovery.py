"""The embedded database recovers every row after killed processes and stale files."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress

import psutil
import psycopg
import pytest

from interfaces.embedded.cluster import Cluster
from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_embedded import (
    WAIT_FOR_LINE,
    eventually,
    execute,
    postmaster,
    process,
    was_stopped_cleanly,
)


def test_a_killed_process_leaves_the_server_running_and_the_next_one_stops_it(home):
    with process(WAIT_FOR_LINE, home) as child:
        server = postmaster(home)
        child.kill()
        child.wait(30)
    assert postmaster(home) == server is not None

    database = EmbeddedPostgres(home)
    database.open()
    assert postmaster(home) == server
    assert database.close() is True
    assert was_stopped_cleanly(home)


def test_a_server_left_running_can_be_stopped_without_opening_the_database(home):
    with process(WAIT_FOR_LINE, home) as child:
        child.kill()
        child.wait(30)

    Cluster(home / "postgres").stop()

    assert was_stopped_cleanly(home)


def test_a_killed_process_does_not_stop_the_server_of_another(home):
    with EmbeddedPostgres(home) as dsn, process(WAIT_FOR_LINE, home) as child:
        child.kill()
        child.wait(30)
        assert execute(dsn, "SELECT 1") == [(1,)]

    assert was_stopped_cleanly(home)


def test_a_killed_server_recovers_every_row_while_a_connection_is_busy(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "CREATE TABLE survivor AS SELECT 1 AS n")

        def keep_busy():
            with suppress(psycopg.OperationalError):
                execute(dsn, "SELECT count(md5(n::text)) FROM generate_series(1, 1000000000) n")

        busy = threading.Thread(target=keep_busy)
        busy.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count(md5%' AND state = 'active'"
        assert eventually(lambda: bool(execute(dsn, active)))
        os.kill(postmaster(home), signal.SIGKILL)

        with EmbeddedPostgres(home) as second_dsn:
            assert execute(second_dsn, "SELECT n FROM survivor") == [(1,)]
        busy.join(30)
        assert not busy.is_alive()


def test_ensure_running_restarts_a_killed_server_and_keeps_a_running_one(home):
    database = EmbeddedPostgres(home)
    dsn = database.open()
    first = postmaster(home)
    database.ensure_running()
    assert postmaster(home) == first

    os.kill(first, signal.SIGKILL)
    database.ensure_running()

    assert postmaster(home) not in (None, first)
    assert execute(dsn, "SELECT 1") == [(1,)]
    assert database.close() is True


@pytest.mark.parametrize("alive", [True, False], ids=["of a live process", "of a zombie"])
def test_a_reused_stale_process_id_does_not_prevent_a_start(home, alive):
    with EmbeddedPostgres(home):
        lock = home / "postgres" / "postmaster.pid"
        lines = lock.read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGKILL)
        assert eventually(lambda: postmaster(home) is None)

    other = subprocess.Popen(["sleep", "60"])
    try:
        if not alive:
            other.kill()
            assert eventually(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
        lock.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        with EmbeddedPostgres(home) as dsn:
            assert execute(dsn, "SELECT 1") == [(1,)]
        assert was_stopped_cleanly(home)
        assert psutil.pid_exists(other.pid)
    finally:
        other.kill()
        other.wait(30)


def test_an_interrupted_first_start_is_repeated(folder):
    incomplete = folder / "postgres.new"
    incomplete.mkdir()
    (incomplete / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(folder) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
    assert not incomplete.exists()


def test_a_home_deleted_while_in_use_does_not_break_the_exit(folder):
    database = EmbeddedPostgres(folder / "gone")
    database.open()
    server = Cluster(folder / "gone" / "postgres").postmaster()
    (folder / "gone").rename(folder / "away")

    assert database.close() is False

    os.kill(server, signal.SIGQUIT)
    assert eventually(lambda: not psutil.pid_exists(server))
