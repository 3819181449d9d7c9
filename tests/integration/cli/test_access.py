"""`foldline keys`, `foldline workspaces` and `foldline migrate`, as scripts use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import CompletedProcess
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.fix_postgres import database_dsn

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


def test_a_key_is_made_listed_and_revoked(foldline: Foldline, database: str) -> None:
    made = json.loads(foldline("keys", "create", "--kind", "write", "--json").stdout)
    assert (made["workspace"], made["kind"]) == ("default", "write")
    assert made["key"].startswith(f"cdp_live_write_{made['id']}_")
    [listed] = json.loads(foldline("keys", "list", "--json").stdout)["keys"]
    assert (listed["id"], listed["kind"], listed["revoked_at"]) == (made["id"], "write", None)
    assert foldline("keys", "revoke", made["id"]).returncode == 0
    [revoked] = json.loads(foldline("keys", "list", "--json").stdout)["keys"]
    assert revoked["revoked_at"].endswith("Z")
    assert made["id"] in foldline("keys", "list").stdout


def test_standard_output_holds_nothing_but_the_key(foldline: Foldline, database: str) -> None:
    done = foldline("keys", "create", "--kind", "read")
    [key] = done.stdout.splitlines()
    assert key.startswith("cdp_live_read_")
    assert key not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "--kind", "root"), "a key's kind is one of write, read, admin"),
        (("create", "--kind", "read", "--workspace", "shop"), "there is no workspace 'shop'"),
        (("revoke", "nobody"), "there is no key nobody"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    foldline: Foldline, database: str, arguments: tuple[str, ...], told: str
) -> None:
    done = foldline("keys", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert done.stdout == ""


def test_a_workspace_is_made_once_and_listed(foldline: Foldline, database: str) -> None:
    made = json.loads(foldline("workspaces", "create", "shop", "--json").stdout)
    assert made["name"] == "shop"
    twice = foldline("workspaces", "create", "shop")
    assert twice.returncode == 1
    assert "there is a workspace 'shop' already" in twice.stderr
    [listed] = json.loads(foldline("workspaces", "list", "--json").stdout)["workspaces"]
    assert listed == made | {"head": 0}
    assert foldline("keys", "create", "-w", "shop", "-k", "admin").returncode == 0


def test_migrate_says_what_it_applied(foldline: Foldline, postgres_dsn: str) -> None:
    name = f"foldline_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            empty = database_dsn(postgres_dsn, name)
            first = json.loads(foldline("migrate", "--json", dsn=empty).stdout)
            assert first["applied"][0] == "0001"
            assert json.loads(foldline("migrate", "--json", dsn=empty).stdout) == {"applied": []}
            assert foldline("migrate", dsn=empty).stdout.startswith("nothing to do")
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def test_a_database_that_does_not_answer_is_told_without_its_password(foldline: Foldline) -> None:
    done = foldline("migrate", dsn="postgresql://someone:hidden@127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert "error: the database does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr
