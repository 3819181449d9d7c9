"""A command loads what it needs: imports are most of the time of a short command."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.loading import DATABASE, HEAVY, loaded


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("nonsense",)], ids=" ".join)
def test_what_needs_no_database_loads_none(arguments: tuple[str, ...]) -> None:
    assert loaded(*arguments) & (HEAVY | DATABASE | {"application", "platformdirs"}) == set()


UNREACHABLE = ("--dsn", "postgresql://127.0.0.1:1/nothing")


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "list"),
        ("keys", "create", "--kind", "read"),
        ("keys", "revoke", "k"),
        ("workspaces", "list"),
        ("workspaces", "create", "shop"),
        ("migrate",),
    ],
    ids=" ".join,
)
def test_a_short_command_loads_the_driver_and_its_tables_only(arguments: Iterable[str]) -> None:
    packages = loaded(*arguments, *UNREACHABLE)
    assert "psycopg" in packages
    assert packages & HEAVY == set()


@pytest.mark.parametrize(
    "command", ["serve", "worker", "demo", "import", "segments", "projections"]
)
def test_the_help_of_a_long_command_loads_neither_server_nor_database(command: str) -> None:
    assert loaded(command, "--help") & (HEAVY | DATABASE) == set()
