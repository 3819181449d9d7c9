"""Help texts of the command, and the imports they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from interfaces.cli.main import app
from interfaces.cli.options import ALL_SETTINGS
from interfaces.settings import SETTINGS

ROOT = Path(__file__).parents[3]


def paths(group: typer.Typer, *parents: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    yield parents
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*parents, command.name or command.callback.__name__)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from paths(inner.typer_instance, *parents, str(inner.name))


@pytest.mark.parametrize("path", [*paths(app)], ids=" ".join)
def test_every_command_has_a_help_text(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert text.startswith("Usage: ")
    assert "--help" in text


def test_all_designed_commands_exist() -> None:
    known = {" ".join(path) for path in paths(app)}
    assert known >= {
        "serve",
        "worker",
        "demo",
        "import",
        "migrate",
        "doctor",
        "keys create",
        "keys list",
        "keys revoke",
        "workspaces create",
        "workspaces list",
    }


def test_serve_has_a_flag_for_every_setting_and_names_its_variable() -> None:
    text = " ".join(CliRunner().invoke(app, ["serve", "--help"]).output.split())
    assert len(ALL_SETTINGS) == len(SETTINGS)
    for setting in SETTINGS:
        assert f"{setting.flag} VALUE" in text
        assert f"[env {setting.env}" in text


def test_help_loads_neither_server_nor_database() -> None:
    script = """
import sys
from interfaces.cli.main import main
try:
    main()
finally:
    print([name for name in ("sqlalchemy", "psycopg", "fastapi", "uvicorn", "alembic") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.endswith("[]\n")


def test_invalid_usage_exits_2_and_an_invalid_value_exits_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert CliRunner().invoke(app, ["serve", "--no-such-flag"]).exit_code == 2
    refused = subprocess.run(
        [sys.executable, "-m", "interfaces.cli.main", "serve", "--port", "many"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: --port must be a whole number from 0 to 65535")
