"""`foldline keys`, `foldline workspaces` and `foldline migrate`, as scripts use them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from subprocess import CompletedProcess
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.fix_postgres import database_dsn
from tests.loading import DELIVERIES, HEAVY, SERVER, loaded

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


def test_a_key_is_created_listed_and_revoked(foldline: Foldline, database: str) -> None:
    created = json.loads(foldline("keys", "create", "--kind", "write", "--json").stdout)
    assert (created["workspace"], created["kind"]) == ("default", "write")
    assert created["key"].startswith(f"cdp_live_write_{created['id']}_")
    [listed] = json.loads(foldline("keys", "list", "--json").stdout)["keys"]
    assert (listed["id"], listed["kind"], listed["revoked_at"]) == (created["id"], "write", None)
    assert foldline("keys", "revoke", created["id"]).returncode == 0
    [revoked] = json.loads(foldline("keys", "list", "--json").stdout)["keys"]
    assert revoked["revoked_at"].endswith("Z")
    assert created["id"] in foldline("keys", "list").stdout


def test_standard_output_contains_only_the_key(foldline: Foldline, database: str) -> None:
    done = foldline("keys", "create", "--kind", "read")
    [key] = done.stdout.splitlines()
    assert key.startswith("cdp_live_read_")
    assert key not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("create", "--kind", "root"), "a key's kind must be one of write, read, admin"),
        (("create", "--kind", "read", "--workspace", "shop"), "workspace 'shop' does not exist"),
        (("revoke", "unknown"), "key unknown does not exist"),
    ],
)
def test_an_invalid_key_command_is_rejected(
    foldline: Foldline, database: str, arguments: tuple[str, ...], reason: str
) -> None:
    done = foldline("keys", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr
    assert done.stdout == ""


def test_a_workspace_is_created_once_and_listed(foldline: Foldline, database: str) -> None:
    created = json.loads(foldline("workspaces", "create", "shop", "--json").stdout)
    assert created["name"] == "shop"
    second = foldline("workspaces", "create", "shop")
    assert second.returncode == 1
    assert "workspace 'shop' already exists" in second.stderr
    [listed] = json.loads(foldline("workspaces", "list", "--json").stdout)["workspaces"]
    assert listed == created | {"head": 0}
    assert foldline("keys", "create", "-w", "shop", "-k", "admin").returncode == 0


@pytest.mark.parametrize("name", ["Has Space & ü", "it's", "$(id)", "-w", "a;b"])
def test_the_next_command_can_be_pasted_into_a_shell(
    foldline: Foldline, database: str, name: str
) -> None:
    done = foldline("workspaces", "create", "--", name)
    assert done.returncode == 0, done.stderr
    script = 'foldline() { printf "%s\\n" "$@"; }; ' + done.stderr.partition(" Next: ")[2]
    pasted = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert foldline(*pasted.stdout.splitlines()).stdout.startswith("cdp_live_write_")


@pytest.mark.parametrize("arguments", [("keys", "list"), ("workspaces", "list")], ids=" ".join)
def test_a_listing_loads_the_driver_and_its_tables_only(
    database: str, arguments: tuple[str, ...]
) -> None:
    packages = loaded(*arguments, "--dsn", database)
    assert "psycopg" in packages
    assert packages & HEAVY == set()


def test_the_doctor_loads_read_models_but_neither_server_nor_deliveries(database: str) -> None:
    packages = loaded("doctor", "--dsn", database)
    assert "projections" in packages
    assert packages & (SERVER | DELIVERIES) == set()


def test_migrate_prints_the_applied_migrations(foldline: Foldline, postgres_dsn: str) -> None:
    name = f"foldline_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            empty = database_dsn(postgres_dsn, name)
            first = json.loads(foldline("migrate", "--json", dsn=empty).stdout)
            assert first["applied"][0] == "0001"
            assert json.loads(foldline("migrate", "--json", dsn=empty).stdout) == {"applied": []}
            assert foldline("migrate", dsn=empty).stdout == "no pending migrations\n"
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def test_the_error_of_an_unreachable_database_hides_the_password(foldline: Foldline) -> None:
    done = foldline("migrate", dsn="postgresql://user:hidden@127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert "error: the database does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr
