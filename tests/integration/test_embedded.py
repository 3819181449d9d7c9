"""The embedded database is shared by all processes that open it; the last one stops it."""

from __future__ import annotations

import signal
import threading

import pytest

from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_embedded import (
    FORKS,
    SERVES,
    WAIT_FOR_LINE,
    WAIT_THEN_CLOSE,
    execute,
    postmaster,
    process,
    send_line,
    start_process,
    was_stopped_cleanly,
)


@pytest.mark.smoke
def test_rows_survive_a_restart(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "CREATE TABLE survivor AS SELECT 1 AS n")
    assert was_stopped_cleanly(home)

    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SELECT n FROM survivor") == [(1,)]


def test_opening_twice_gives_the_same_address_and_closing_twice_stops_once(home):
    database = EmbeddedPostgres(home)

    assert database.open() == database.open()
    assert database.close() is True
    assert database.close() is False


def test_a_second_process_shares_the_server_which_runs_until_the_last_one_closes_it(home):
    with process(WAIT_THEN_CLOSE, home) as first, process(WAIT_FOR_LINE, home) as second:
        server = postmaster(home)
        assert send_line(first) == 0
        assert postmaster(home) == server is not None

        database = EmbeddedPostgres(home)
        assert execute(database.open(), "SELECT 1") == [(1,)]
        assert database.close() is False
        assert postmaster(home) == server

        assert send_line(second) == 0
        assert was_stopped_cleanly(home)


def test_processes_that_start_at_the_same_time_share_one_server(folder):
    children = [start_process(WAIT_FOR_LINE, folder) for _ in range(3)]
    addresses = {child.stdout.readline() for child in children}
    for child in children:
        child.communicate("\n", timeout=60)

    assert len(addresses) == 1
    assert [child.returncode for child in children] == [0, 0, 0]
    assert was_stopped_cleanly(folder)


def test_two_instances_in_one_process_share_the_server(home):
    first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
    assert first.open() == second.open()

    assert first.close() is False
    assert second.close() is True


def test_a_process_that_never_closes_the_database_stops_it_at_exit(home):
    with process(WAIT_FOR_LINE, home) as child:
        assert send_line(child) == 0

    assert was_stopped_cleanly(home)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_stops_the_server_cleanly(home, number, status):
    with process(WAIT_FOR_LINE + "database.close()", home) as child:
        child.send_signal(number)
        assert child.wait(60) == status

    assert was_stopped_cleanly(home)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_web_server_raises_again_stops_the_database_cleanly(home, number):
    with process(SERVES, home) as child:
        child.send_signal(number)
        child.wait(60)

    assert was_stopped_cleanly(home)


def test_the_signal_handlers_of_the_process_are_restored(home):
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with EmbeddedPostgres(home):
        assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == handlers


def test_the_database_opens_in_a_thread_that_may_not_handle_signals(home):
    rows = []

    def work():
        with EmbeddedPostgres(home) as dsn:
            rows.extend(execute(dsn, "SELECT 1"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)

    assert rows == [(1,)]
    assert was_stopped_cleanly(home)


def test_a_forked_child_does_not_stop_the_server_of_its_parent(home):
    with process(FORKS, home) as child:
        assert child.stdout.readline() == "forked\n"
        assert postmaster(home) is not None
        assert send_line(child) == 0

    assert was_stopped_cleanly(home)
