"""Pages for operators: their commands, run in order, do what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import yaml

from interfaces.embedded.account import binaries_folder
from interfaces.embedded.postgres import EmbeddedPostgres
from interfaces.settings import Settings
from tests.fix_embedded import temporary_folder
from tests.fix_postgres import database_dsn
from tests.pages import ROOT, Page, Serve, Shell, checkout
from tests.serving import Server, bearer

SEND = """curl -s "$URL/v1/track" -u "$WRITE_KEY:" -d '{"event": "Hello", "userId": "u-1"}'"""


@pytest.fixture
def new_server(home: Path) -> Iterator[str]:
    """The address of an empty database on a server that has never seen Foldline."""
    with EmbeddedPostgres(home) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE restored")
            assert connection.execute(
                "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'foldline%'"
            ).fetchone() == (0,)
        yield database_dsn(dsn, "restored")


@pytest.mark.nightly
def test_a_restored_ledger_answers_as_the_first_did(
    serve: Serve, new_server: str, home: Path, tmp_path: Path
):
    shell = serve()
    shell.environment["PATH"] = f"{binaries_folder()}{os.pathsep}{shell.environment['PATH']}"
    shell.environment["RESTORED_DSN"] = new_server
    shell.run(SEND)
    page = Page("howto/back-up-and-restore.md")
    *_, base_backup = page.of("sh")
    shell.follow(page, without=frozenset((base_backup.text,)))
    with Server.on(tmp_path, new_server) as restored:
        answer = restored.ask(
            "GET", "/v1/events?min_position=1", headers=bearer(shell.environment["READ_KEY"])
        )
    assert [it["name"] for it in answer.json["events"]] == ["Hello"]

    shell.environment["FOLDLINE_DSN"] = new_server
    shell.run(base_backup.text)
    with _started(shell.folder / "base", home) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.event").fetchone() == (1,)


@contextmanager
def _started(base: Path, home: Path) -> Iterator[str]:
    """Start a server on a base backup, as the user who owns the data of another home."""
    owner = (home / "postgres").stat()
    with temporary_folder() as folder:
        data = Path(shutil.copytree(base, folder / "postgres"))
        for lock in data.glob(".s.PGSQL.*"):  # of the socket, which lies in an embedded home
            lock.unlink()
        for path in (data, *data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        with EmbeddedPostgres(folder) as dsn:
            yield database_dsn(dsn, "restored")


def test_an_older_database_is_brought_up_to_date(serve: Serve, tmp_path: Path, postgres_dsn: str):
    page = Page("howto/upgrade.md")
    older = checkout(tmp_path / "older", page)
    revisions = sorted((older / "application/ledger/migrations/versions").glob("0*.py"))
    revisions[-1].unlink()
    name = f"foldline_older_{os.getpid()}"
    dsn = database_dsn(postgres_dsn, name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            before = Shell(tmp_path / "before", code=older, FOLDLINE_DSN=dsn)
            applied = before.run("foldline migrate --json")
            # By the older version too: a command of the newer one would migrate.
            before.run("foldline workspaces create shop")
            assert len(json.loads(applied)["applied"]) == len(revisions) - 1
            after = Shell(tmp_path / "after", FOLDLINE_DSN=dsn)
            assert after.follow(page) == 2
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_history_and_tables_are_imported_as_the_page_shows(serve: Serve):
    page = Page("howto/migrate-from-segment.md")
    shell = serve()
    for name in ("archive.ndjson", "orders.csv"):
        (shell.folder / name).write_text(page.file(name))
    assert shell.follow(page) == 4


def test_the_secrets_for_compose_are_good_ones(tmp_path: Path):
    page = Page("howto/run-with-compose.md")
    shell = Shell(tmp_path / "shell")
    shell.follow(page)
    file = shell.folder / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    variables = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert set(variables) == set(
        re.findall(r"\$\{(FOLDLINE_\w+):[?-]", (ROOT / "docker-compose.yml").read_text())
    ) - {"FOLDLINE_PORT"}
    Settings.from_environment(variables)


def test_the_page_on_compose_describes_its_services():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    page = Page("howto/run-with-compose.md")
    table = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page.text, re.MULTILINE))
    assert table == {
        name: " ".join(service["command"]) for name, service in services.items() if name != "db"
    }
