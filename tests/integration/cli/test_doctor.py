"""`foldline doctor` on healthy and on damaged databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from interfaces.cli.doctor_checks import run_checks
from interfaces.embedded.postgres import EmbeddedPostgres
from interfaces.settings import Settings
from tests.fix_postgres import database_dsn

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


def parse_checks(done: CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Return the checks by name; of several with the same name, the worst."""
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert (done.returncode == 0) == report["ok"]
    worst: dict[str, dict[str, str]] = {}
    severities = ("ok", "warn", "fail")
    for check in sorted(report["checks"], key=lambda check: severities.index(check["status"])):
        worst[check["name"]] = check
    return worst


def run(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_healthy_database_passes_all_checks(foldline: Foldline, database: str) -> None:
    assert foldline("keys", "create", "--kind", "read").returncode == 0
    checks = parse_checks(foldline("doctor", "--json"))
    for name in ("python", "settings", "server", "durability", "migrations", "grants", "triggers"):
        assert checks[name]["status"] == "ok", checks[name]
    assert checks["clocks"]["status"] == "ok"
    done = foldline("doctor")
    assert done.returncode == 0
    assert "PostgreSQL" in done.stdout


@pytest.mark.parametrize(
    ("damage", "name", "finding"),
    [
        (
            "GRANT UPDATE ON ledger.event TO foldline_service",
            "grants",
            "foldline_service may UPDATE events",
        ),
        (
            "GRANT UPDATE (state) ON ledger.event TO PUBLIC",
            "grants",
            "foldline_service may UPDATE events",
        ),
        (
            "REVOKE INSERT ON ledger.event FROM foldline_service",
            "grants",
            "foldline_service may not INSERT events",
        ),
        ("ALTER TABLE ledger.event DISABLE TRIGGER append_only", "triggers", "append_only"),
        (
            "ALTER TABLE ledger.event ENABLE TRIGGER never_truncated",
            "triggers",
            "never_truncated",
        ),
        ("DROP TRIGGER append_only ON ledger.event", "triggers", "append_only"),
    ],
)
def test_a_removed_protection_of_events_is_detected(
    database: str, damage: str, name: str, finding: str
) -> None:
    run(database, damage)
    checks = run_checks(Settings.from_environment({}, dsn=database))
    [check] = [check for check in checks if check.name == name]
    assert check.status == "fail"
    assert finding in check.found
    assert check.advice


def test_a_server_that_may_lose_events_fails_the_check(foldline: Foldline, home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        run(dsn, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        done = foldline("doctor", "--json", "--home", str(home), dsn="")
    check = parse_checks(done)["server setting"]
    assert done.returncode == 1
    assert check["status"] == "fail"
    assert "fsync is off: a crash of the machine would lose acknowledged events" in check["found"]


def test_an_unmigrated_database_is_not_changed(foldline: Foldline, postgres_dsn: str) -> None:
    name = f"foldline_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            empty = database_dsn(postgres_dsn, name)
            check = parse_checks(foldline("doctor", "--json", dsn=empty))["migrations"]
            assert check["status"] == "warn"
            assert "0001" in check["found"]
            with psycopg.connect(empty) as inside:
                row = inside.execute("SELECT to_regnamespace('ledger')").fetchone()
            assert row == (None,)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def test_a_lagging_or_failed_read_model_is_reported(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,event\n" + "u-1,viewed\n" * 30)
    columns = ("--name", "event", "--user", "user")
    assert foldline("import", str(file), *columns).returncode == 0
    assert parse_checks(foldline("doctor", "--json"))["projection"]["status"] == "ok"
    run(database, "UPDATE projections.checkpoint SET position = 10")
    behind = parse_checks(foldline("doctor", "--json"))["projection"]
    assert behind["status"] == "warn"
    assert "20 events behind" in behind["found"]
    run(database, "UPDATE projections.checkpoint SET failure = 'it broke', failed_at = now()")
    failed = parse_checks(foldline("doctor", "--json"))["projection"]
    assert failed["status"] == "fail"
    assert "it broke" in failed["found"]


@pytest.mark.parametrize("command", ["doctor", "keys list"])
def test_an_unusable_home_is_reported_without_a_traceback(
    foldline: Foldline, home: Path, command: str
) -> None:
    (home / "secret.key").mkdir()
    for folder, reason in ((home, "Is a directory"), (home / ("x" * 300), "File name too long")):
        done = foldline(*command.split(), "--home", str(folder), dsn="")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert reason in done.stdout + done.stderr
        assert "FOLDLINE_" in done.stdout + done.stderr, "it says what to do"


def test_a_doctor_changes_nothing(foldline: Foldline, database: str) -> None:
    run(database, "DROP SCHEMA projections CASCADE")
    assert foldline("doctor").returncode == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regnamespace('projections')").fetchone() == (None,)


def test_an_unreachable_database_is_reported_with_advice(foldline: Foldline) -> None:
    done = foldline("doctor", "--json", dsn="postgresql://user:hidden@127.0.0.1:1/nothing")
    checks: dict[str, Any] = parse_checks(done)
    assert checks["database"]["status"] == "fail"
    assert checks["database"]["advice"]
    assert "hidden" not in done.stdout + done.stderr
