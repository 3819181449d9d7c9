"""The embedded database is set up safely, or the error says why it cannot be."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from interfaces.embedded import configuration, postgres
from interfaces.embedded.account import EmbeddedUnavailable, embedded_version
from interfaces.embedded.cluster import Cluster
from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_embedded import IS_ROOT, execute, postmaster

UNPRIVILEGED_UID = 65_534


def test_the_server_is_postgresql_18_with_durable_commits(folder):
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


def test_the_setup_does_not_depend_on_the_environment(folder, monkeypatch):
    for name, value in {"PGPORT": "6543", "LC_ALL": "tlh_KX.UTF-8", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(folder) as dsn:
        rows = execute(
            dsn,
            "SELECT datlocprovider, datlocale, current_setting('TimeZone'), upper('é')"
            " FROM pg_database WHERE datname = current_database()",
        )

    assert rows == [("b", "C.UTF-8", "UTC", "É")]


def test_only_the_server_s_user_may_connect(home):
    with EmbeddedPostgres(home):
        for path in (home / "postgres", home / "postgres" / ".s.PGSQL.5432"):
            assert path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0


def test_a_path_too_long_for_a_socket_gets_a_private_socket_folder_elsewhere(folder, monkeypatch):
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


def test_a_path_with_blanks_and_quotes_is_supported(folder):
    home = folder / "it's my café"

    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]


def opening_error(folder: Path) -> str:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with pytest.raises(EmbeddedUnavailable) as caught:
        EmbeddedPostgres(folder).open()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == handlers
    assert "FOLDLINE_HOME" in str(caught.value)
    return str(caught.value)


def test_too_long_paths_for_a_socket_are_rejected(folder, monkeypatch):
    deep = folder / ("a" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    assert "too long for a socket" in opening_error(deep)


def test_a_socket_folder_of_another_user_is_rejected(folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    (folder / "elsewhere").mkdir()
    (folder / f"foldline-{os.geteuid()}").symlink_to(folder / "elsewhere")

    with pytest.raises(
        EmbeddedUnavailable, match="belongs to another user; remove it or set TMPDIR"
    ):
        EmbeddedPostgres(folder / ("a" * 90)).open()


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "a\nb", "a,b"])
def test_a_path_with_characters_special_to_a_shell_is_rejected(folder, name):
    assert "its path contains one of" in opening_error(folder / name)


def test_a_home_that_cannot_be_created_is_rejected(folder):
    (folder / "file").write_text("")

    assert f"{folder / 'file'}" in opening_error(folder / "file" / "home")


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Drop root's rights for the test, since root may write anywhere."""
    if IS_ROOT:
        os.seteuid(UNPRIVILEGED_UID)
    yield
    if IS_ROOT:
        os.seteuid(0)


def test_a_read_only_home_is_rejected(folder, request):
    folder.chmod(0o555)
    request.getfixturevalue("unprivileged")

    assert "Permission denied" in opening_error(folder)


def test_the_data_of_another_version_is_rejected_and_unchanged(folder):
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")

    assert "was created by PostgreSQL 15; this Foldline contains PostgreSQL 18" in opening_error(
        folder
    )
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_with_other_files_is_rejected_and_unchanged(folder):
    data = folder / "postgres"
    data.mkdir()
    (data / "holiday.jpg").write_text("")

    assert "contains files but no PostgreSQL database" in opening_error(folder)
    assert [path.name for path in data.iterdir()] == ["holiday.jpg"]


def test_the_reason_of_a_failed_start_is_reported_and_a_corrected_server_starts(home):
    with EmbeddedPostgres(home) as dsn:
        execute(dsn, "ALTER SYSTEM SET huge_pages = 'try'")
    override = home / "postgres" / "postgresql.auto.conf"
    override.write_text("max_connections = 'many'\n")

    with pytest.raises(
        EmbeddedUnavailable, match=r'(?s)Last lines of .*server\.log:.*"max_connections"'
    ):
        EmbeddedPostgres(home).open()

    override.write_text("max_connections = 7\n")
    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SHOW max_connections") == [("7",)]


def test_waiting_for_another_process_times_out(folder, monkeypatch):
    monkeypatch.setattr(postgres, "START_SECONDS", 0.1)
    with (folder / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(
            EmbeddedUnavailable, match="Another process has been starting or stopping"
        ):
            EmbeddedPostgres(folder).open()


def test_a_large_log_is_rotated_at_the_next_start(home):
    log = home / "postgres" / "server.log"
    with EmbeddedPostgres(home):
        pass
    with log.open("a") as file:
        file.write("x" * 11_000_000)

    with EmbeddedPostgres(home):
        assert log.stat().st_size < 100_000
    assert log.with_name("server.log.1").stat().st_size > 11_000_000


@pytest.mark.skipif(not IS_ROOT, reason="only root starts the server as another user")
def test_as_root_the_parent_folders_become_traversable_but_not_readable(folder):
    inner = folder / "private" / "home"
    inner.parent.mkdir(mode=0o700)
    with EmbeddedPostgres(inner) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
        server = psutil.Process(Cluster(inner / "postgres").postmaster())
        assert 0 not in (*server.uids(), *server.gids())

    assert stat.S_IMODE(inner.parent.stat().st_mode) == 0o701


@pytest.mark.skipif(not IS_ROOT, reason="only root may give a folder away")
def test_as_root_the_database_of_an_ordinary_user_keeps_its_owner(home):
    data = home / "postgres"
    with EmbeddedPostgres(home):
        pass
    owner = 65_534
    for path in (data, *data.rglob("*")):
        os.chown(path, owner, owner)

    with EmbeddedPostgres(home) as dsn:
        assert execute(dsn, "SELECT 1") == [(1,)]
        assert psutil.Process(postmaster(home)).uids().real == owner
    assert {path.stat().st_uid for path in data.rglob("*")} - {0} == {owner}


@pytest.mark.parametrize(
    ("memory", "shared_buffers"),
    [(256, "128MB"), (2_048, "256MB"), (4_096, "512MB"), (65_536, "1024MB")],
)
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(
    monkeypatch, memory, shared_buffers
):
    monkeypatch.setattr(configuration, "_memory", lambda: memory * 1_048_576)
    text = configuration.configuration(Path("/x"), 5432, lz4=False)

    assert f"\nshared_buffers = {shared_buffers}\n" in text


@pytest.mark.parametrize(("lz4", "compression"), [(True, "lz4"), (False, "off")])
def test_the_wal_is_compressed_if_the_server_supports_lz4(lz4, compression):
    text = configuration.configuration(Path("/x"), 5432, lz4=lz4)

    assert f"\nwal_compression = {compression}\n" in text
