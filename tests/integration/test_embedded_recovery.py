"""The embedded database is back, with every row, whoever was killed and whatever was left lying."""

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
    UNTIL_TOLD,
    eventually,
    execute,
    postmaster,
    process,
    was_stopped_cleanly,
)


def test_a_killed_process_leaves_it_running_and_the_next_to_leave_stops_it(home):
    with process(UNTIL_TOLD, home) as child:
        server = postmaster(home)
        child.kill()
        child.wait(30)
    assert postmaster(home) == server is not None

    database = EmbeddedPostgres(home)
    database.open()
    assert postmaster(home) == server
    assert database.close() is True
    assert was_stopped_cleanly(home)


def test_a_server_left_running_can_be_stopped_without_opening_it(home):
    with process(UNTIL_TOLD, home) as child:
        child.kill()
        child.wait(30)

    Cluster(home / "postgres").stop()

    assert was_stopped_cleanly(home)


def test_a_killed_process_does_not_stop_it_under_another(home):
    with EmbeddedPostgres(home) as dsn, process(UNTIL_TOLD, home) as child:
        child.kill()
        child.wait(30)
        assert execute(dsn, "SELECT 1") == [(1,)]

    assert was_stopped_cleanly(home)


def test_a_killed_server_comes_back_with_every_row_although_a_connection_is_busy(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "CREATE TABLE kept AS SELECT 1 AS n")

        def keep_busy():
            with suppress(psycopg.OperationalError):
                execute(dsn, "SELECT count(md5(n::text)) FROM generate_series(1, 1000000000) n")

        busy = threading.Thread(target=keep_busy)
        busy.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count(md5%' AND state = 'active'"
        assert eventually(lambda: bool(execute(dsn, active)))
        os.kill(postmaster(home), signal.SIGKILL)

        with EmbeddedPostgres(home) as again:
            assert execute(again, "SELECT n FROM kept") == [(1,)]
        busy.join(30)
        assert not busy.is_alive()


def test_ensure_running_starts_a_killed_server_and_leaves_a_running_one_alone(home):
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


@pytest.mark.parametrize("waited_for", [True, False], ids=["someone else's", "a dead one's"])
def test_a_stale_process_id_that_is_taken_does_not_keep_it_from_starting(home, waited_for):
    with EmbeddedPostgres(home):
        lock = home / "postgres" / "postmaster.pid"
        lines = lock.read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGKILL)
        assert eventually(lambda: postmaster(home) is None)

    other = subprocess.Popen(["sleep", "60"])
    try:
        if not waited_for:
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


def test_a_first_start_that_was_cut_short_is_made_again(folder):
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(folder) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_a_home_deleted_under_it_does_not_disturb_the_exit(folder):
    database = EmbeddedPostgres(folder / "gone")
    database.open()
    server = Cluster(folder / "gone" / "postgres").postmaster()
    (folder / "gone").rename(folder / "away")

    assert database.close() is False

    os.kill(server, signal.SIGQUIT)
    assert eventually(lambda: not psutil.pid_exists(server))
