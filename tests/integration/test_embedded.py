"""The embedded database is shared by whoever opens it and stopped by the last to leave."""

from __future__ import annotations

import signal
import threading

import pytest

from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_embedded import (
    FORKS,
    SERVES,
    UNTIL_TOLD,
    UNTIL_TOLD_THEN_CLOSES,
    execute,
    postmaster,
    process,
    started,
    tell,
    was_stopped_cleanly,
)


@pytest.mark.smoke
def test_rows_are_there_after_the_next_start(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "CREATE TABLE kept AS SELECT 1 AS n")
    assert was_stopped_cleanly(home)

    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SELECT n FROM kept") == [(1,)]


def test_opening_twice_gives_the_same_address_and_closing_twice_stops_once(home):
    database = EmbeddedPostgres(home)

    assert database.open() == database.open()
    assert database.close() is True
    assert database.close() is False


def test_a_second_process_shares_it_and_the_first_to_leave_does_not_stop_it(home):
    with process(UNTIL_TOLD_THEN_CLOSES, home) as first, process(UNTIL_TOLD, home) as second:
        server = postmaster(home)
        assert tell(first) == 0
        assert postmaster(home) == server is not None

        database = EmbeddedPostgres(home)
        assert execute(database.open(), "SELECT 1") == [(1,)]
        assert database.close() is False
        assert postmaster(home) == server

        assert tell(second) == 0
        assert was_stopped_cleanly(home)


def test_processes_that_start_at_the_same_time_share_one_server(folder):
    children = [started(UNTIL_TOLD, folder) for _ in range(3)]
    addresses = {child.stdout.readline() for child in children}
    for child in children:
        child.communicate("\n", timeout=60)

    assert len(addresses) == 1
    assert [child.returncode for child in children] == [0, 0, 0]
    assert was_stopped_cleanly(folder)


def test_two_in_one_process_share_it_too(home):
    first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
    assert first.open() == second.open()

    assert first.close() is False
    assert second.close() is True


def test_a_process_that_never_closes_it_stops_it_as_it_exits(home):
    with process(UNTIL_TOLD, home) as child:
        assert tell(child) == 0

    assert was_stopped_cleanly(home)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_stops_it_cleanly(home, number, status):
    with process(UNTIL_TOLD + "database.close()", home) as child:
        child.send_signal(number)
        assert child.wait(60) == status

    assert was_stopped_cleanly(home)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_web_server_that_raises_it_again_stops_it_cleanly(home, number):
    with process(SERVES, home) as child:
        child.send_signal(number)
        child.wait(60)

    assert was_stopped_cleanly(home)


def test_the_process_gets_its_own_signal_handlers_back(home):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with EmbeddedPostgres(home):
        assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


def test_it_opens_in_a_thread_that_may_not_handle_signals(home):
    answers = []

    def work():
        with EmbeddedPostgres(home) as dsn:
            answers.extend(execute(dsn, "SELECT 1"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)

    assert answers == [(1,)]
    assert was_stopped_cleanly(home)


def test_a_forked_child_does_not_stop_it_under_its_parent(home):
    with process(FORKS, home) as child:
        assert child.stdout.readline() == "forked\n"
        assert postmaster(home) is not None
        assert tell(child) == 0

    assert was_stopped_cleanly(home)
