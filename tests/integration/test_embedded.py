"""The embedded database: shared, stopped by the last to leave, and back after any kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from interfaces import embedded, embedded_configuration
from interfaces.embedded import EmbeddedPostgres
from interfaces.embedded_account import EmbeddedUnavailable, binaries, embedded_version
from interfaces.embedded_cluster import Cluster

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0

OPEN = """
import os, sys, time
from pathlib import Path
from interfaces.embedded import EmbeddedPostgres
database = EmbeddedPostgres(Path(sys.argv[1]))
print(database.open(), flush=True)
"""
UNTIL_TOLD = OPEN + "sys.stdin.readline()\n"
UNTIL_TOLD_THEN_CLOSES = UNTIL_TOLD + "database.close()\n"
SERVES = """
import sys
from pathlib import Path
import uvicorn
from interfaces.embedded import EmbeddedPostgres

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
def lent_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="foldline-home-"))
    try:
        yield folder
    finally:
        Cluster(folder / "postgres").stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder: a home before its first start."""
    with lent_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    with lent_folder() as folder:
        with EmbeddedPostgres(folder):
            pass
        yield folder


@pytest.fixture
def home(folder: Path, used: Path) -> Path:
    """A home that was started before, copied since that is quicker than another first start."""
    subprocess.run(["cp", "-a", used / "postgres", folder], check=True)
    return folder


@contextmanager
def process(code: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the code in a process of its own, from its first line of output on."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline(), "it ended before it had said anything"
        yield child
    finally:
        child.kill()
        child.communicate(timeout=30)


def tell(child: subprocess.Popen[str]) -> int:
    child.stdin.write("\n")
    child.stdin.flush()
    return child.wait(60)


def postmaster(home: Path) -> int | None:
    return Cluster(home / "postgres").postmaster()


def was_stopped_cleanly(home: Path) -> bool:
    said = subprocess.check_output(
        [binaries() / "pg_controldata", home / "postgres"], text=True, env={"LC_ALL": "C"}
    )
    return postmaster(home) is None and "cluster state:               shut down\n" in said


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


def test_it_is_postgresql_18_and_keeps_what_was_acknowledged(folder):
    with EmbeddedPostgres(folder) as dsn:
        settings = dict(execute(dsn, "SELECT name, setting FROM pg_settings"))

    assert settings["server_version"] == embedded_version()
    assert settings["server_version"].startswith("18.")
    durable = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    assert {name: settings[name] for name in durable} == dict.fromkeys(durable, "on")
    assert settings["server_encoding"] == "UTF8"
    assert settings["listen_addresses"] == ""
    assert settings["max_wal_size"] == "4096"
    assert settings["log_min_error_statement"] == "panic"


def test_it_is_set_up_alike_whatever_the_environment_says(folder, monkeypatch):
    for name, value in {"PGPORT": "6543", "LC_ALL": "tlh_KX.UTF-8", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(folder) as dsn:
        found = execute(
            dsn,
            "SELECT datlocprovider, datlocale, current_setting('TimeZone'), upper('é')"
            " FROM pg_database WHERE datname = current_database()",
        )

    assert found == [("b", "C.UTF-8", "UTC", "É")]


def test_only_the_user_it_runs_as_may_connect(home):
    with EmbeddedPostgres(home):
        for path in (home / "postgres", home / "postgres" / ".s.PGSQL.5432"):
            assert path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0


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
    children = [
        subprocess.Popen(
            [sys.executable, "-c", UNTIL_TOLD, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
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


def test_a_path_too_long_for_a_socket_gets_one_elsewhere_that_nobody_else_may_enter(
    folder, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    deep = folder / ("a" * 120)
    try:
        with EmbeddedPostgres(deep) as dsn:
            assert execute(dsn, "SELECT 1") == [(1,)]
            socket_folder = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])
            assert socket_folder != deep / "postgres"
            assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    finally:
        Cluster(deep / "postgres").stop()


def test_a_path_with_blanks_and_quotes_will_do(folder):
    spelt = folder / "it's my café"

    with EmbeddedPostgres(spelt) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]


def refusal(folder: Path) -> str:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with pytest.raises(EmbeddedUnavailable) as refused:
        EmbeddedPostgres(folder).open()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == handlers
    assert "FOLDLINE_HOME" in str(refused.value)
    return str(refused.value)


def test_no_room_for_a_socket_anywhere_is_refused(folder, monkeypatch):
    deep = folder / ("a" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    assert "too long for a socket" in refusal(deep)


def test_a_spare_socket_folder_that_is_not_ours_is_refused(folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    (folder / "elsewhere").mkdir()
    (folder / f"foldline-{os.geteuid()}").symlink_to(folder / "elsewhere")

    with pytest.raises(
        EmbeddedUnavailable, match="belongs to another user; remove it or set TMPDIR"
    ):
        EmbeddedPostgres(folder / ("a" * 90)).open()


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "a\nb", "a,b"])
def test_a_path_that_a_shell_would_read_otherwise_is_refused(folder, name):
    assert "its path holds one of" in refusal(folder / name)


def test_a_home_that_cannot_be_made_is_refused(folder):
    (folder / "file").write_text("")

    assert f"{folder / 'file'}" in refusal(folder / "file" / "home")


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_is_refused(folder):
    folder.chmod(0o500)

    assert "Permission denied" in refusal(folder)


def test_the_data_of_another_version_is_refused_and_left_alone(folder):
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")

    assert "was made by PostgreSQL 15; this Foldline brings PostgreSQL 18" in refusal(folder)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_of_something_else_is_refused_and_left_alone(folder):
    data = folder / "postgres"
    data.mkdir()
    (data / "holiday.jpg").write_text("")

    assert "holds files but no PostgreSQL database" in refusal(folder)
    assert [path.name for path in data.iterdir()] == ["holiday.jpg"]


def test_why_a_server_would_not_start_is_told_and_set_right_it_starts(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "ALTER SYSTEM SET huge_pages = 'try'")
    override = home / "postgres" / "postgresql.auto.conf"
    override.write_text("max_connections = 'many'\n")

    with pytest.raises(EmbeddedUnavailable, match=r'(?s)server\.log says:.*"max_connections"'):
        EmbeddedPostgres(home).open()

    override.write_text("max_connections = 7\n")
    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SHOW max_connections") == [("7",)]


def test_waiting_for_another_process_comes_to_an_end(folder, monkeypatch):
    monkeypatch.setattr(embedded, "START_SECONDS", 0.1)
    with (folder / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(
            EmbeddedUnavailable, match="Another process has been starting or stopping"
        ):
            EmbeddedPostgres(folder).open()


def test_a_home_deleted_under_it_does_not_disturb_the_exit(folder):
    database = EmbeddedPostgres(folder / "gone")
    database.open()
    server = Cluster(folder / "gone" / "postgres").postmaster()
    (folder / "gone").rename(folder / "away")

    assert database.close() is False

    os.kill(server, signal.SIGQUIT)
    assert eventually(lambda: not psutil.pid_exists(server))


def test_a_log_grown_large_is_put_aside_at_the_next_start(home):
    log = home / "postgres" / "server.log"
    with EmbeddedPostgres(home):
        pass
    with log.open("a") as file:
        file.write("x" * 11_000_000)

    with EmbeddedPostgres(home):
        assert log.stat().st_size < 100_000
    assert log.with_name("server.log.1").stat().st_size > 11_000_000


@pytest.mark.skipif(not IS_ROOT, reason="only root starts it as another user")
def test_as_root_the_folders_above_are_opened_for_passing_but_not_for_listing(folder):
    inner = folder / "private" / "home"
    inner.parent.mkdir(mode=0o700)
    with EmbeddedPostgres(inner) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
        server = psutil.Process(Cluster(inner / "postgres").postmaster())
        assert 0 not in (*server.uids(), *server.gids())

    assert stat.S_IMODE(inner.parent.stat().st_mode) == 0o701


@pytest.mark.skipif(not IS_ROOT, reason="only root may give a folder away")
def test_as_root_the_database_of_an_ordinary_user_stays_theirs(home):
    data = home / "postgres"
    with EmbeddedPostgres(home):
        pass
    nobody = 65_534
    for path in (data, *data.rglob("*")):
        os.chown(path, nobody, nobody)

    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
        assert psutil.Process(postmaster(home)).uids().real == nobody
    assert {path.stat().st_uid for path in data.rglob("*")} - {0} == {nobody}


@pytest.mark.parametrize(
    ("memory", "shared_buffers"),
    [(256, "128MB"), (2_048, "256MB"), (4_096, "512MB"), (65_536, "1024MB")],
)
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(
    monkeypatch, memory, shared_buffers
):
    monkeypatch.setattr(embedded_configuration, "_memory", lambda: memory * 1_048_576)
    text = embedded_configuration.configuration(Path("/x"), 5432, lz4=False)

    assert f"\nshared_buffers = {shared_buffers}\n" in text


@pytest.mark.parametrize(("lz4", "compression"), [(True, "lz4"), (False, "off")])
def test_the_log_is_compressed_where_that_is_cheap(lz4, compression):
    text = embedded_configuration.configuration(Path("/x"), 5432, lz4=lz4)

    assert f"\nwal_compression = {compression}\n" in text
