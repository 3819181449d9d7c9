"""`foldline doctor`, on databases that are well and on some that are not."""

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


def examined(done: CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """The checks by name; of several with one name, the worst."""
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == found["ok"]
    worst: dict[str, dict[str, str]] = {}
    for check in sorted(found["checks"], key=lambda it: ("ok", "warn", "fail").index(it["status"])):
        worst[check["name"]] = check
    return worst


def run(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_good_database_is_well(foldline: Foldline, database: str) -> None:
    assert foldline("keys", "create", "--kind", "read").returncode == 0
    found = examined(foldline("doctor", "--json"))
    for name in ("python", "settings", "server", "durability", "migrations", "grants", "triggers"):
        assert found[name]["status"] == "ok", found[name]
    assert found["clocks"]["status"] == "ok"
    told = foldline("doctor")
    assert told.returncode == 0
    assert "PostgreSQL" in told.stdout


@pytest.mark.parametrize(
    ("damage", "name", "told"),
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
def test_a_guard_that_was_taken_away_is_noticed(
    database: str, damage: str, name: str, told: str
) -> None:
    run(database, damage)
    checks = run_checks(Settings.from_environment({}, dsn=database))
    [check] = [it for it in checks if it.name == name]
    assert check.status == "fail"
    assert told in check.found
    assert check.advice


def test_a_server_that_may_lose_events_fails(foldline: Foldline, home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        run(dsn, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        done = foldline("doctor", "--json", "--home", str(home), dsn="")
    check = examined(done)["server setting"]
    assert done.returncode == 1
    assert check["status"] == "fail"
    assert "fsync is off: a crash of the machine would lose acknowledged events" in check["found"]


def test_an_unmigrated_database_is_not_touched(foldline: Foldline, postgres_dsn: str) -> None:
    name = f"foldline_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            empty = database_dsn(postgres_dsn, name)
            check = examined(foldline("doctor", "--json", dsn=empty))["migrations"]
            assert check["status"] == "warn"
            assert "0001" in check["found"]
            with psycopg.connect(empty) as inside:
                found = inside.execute("SELECT to_regnamespace('ledger')").fetchone()
            assert found == (None,)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def test_a_read_model_that_lags_or_failed_is_told(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.csv"
    file.write_text("user,event\n" + "u-1,viewed\n" * 30)
    columns = ("--name", "event", "--user", "user")
    assert foldline("import", str(file), *columns).returncode == 0
    assert examined(foldline("doctor", "--json"))["projection"]["status"] == "ok"
    run(database, "UPDATE projections.checkpoint SET position = 10")
    behind = examined(foldline("doctor", "--json"))["projection"]
    assert behind["status"] == "warn"
    assert "20 events behind" in behind["found"]
    run(database, "UPDATE projections.checkpoint SET failure = 'it broke', failed_at = now()")
    failed = examined(foldline("doctor", "--json"))["projection"]
    assert failed["status"] == "fail"
    assert "it broke" in failed["found"]


def test_a_database_that_is_away_is_told_with_what_to_do(foldline: Foldline) -> None:
    done = foldline("doctor", "--json", dsn="postgresql://someone:hidden@127.0.0.1:1/nothing")
    found: dict[str, Any] = examined(done)
    assert found["database"]["status"] == "fail"
    assert found["database"]["advice"]
    assert "hidden" not in done.stdout + done.stderr
