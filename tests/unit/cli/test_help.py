"""Help texts of the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from interfaces.cli.main import COMMANDS, app
from interfaces.cli.options import ALL_SETTINGS
from interfaces.settings import SETTINGS

ROOT = Path(__file__).parents[3]


ROOT_COMMAND = typer.main.get_command(app)


def paths(command: Any = ROOT_COMMAND, *parents: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    yield parents
    for name, child in getattr(command, "commands", {}).items():
        yield from paths(child, *parents, name)


@pytest.mark.parametrize("path", [*paths()], ids=" ".join)
def test_every_command_has_a_help_text(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert text.startswith("Usage: ")
    assert "--help" in text


def test_all_designed_commands_exist() -> None:
    known = {" ".join(path) for path in paths()}
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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_shows_the_first_sentence_of_each_help(name: str) -> None:
    command = ROOT_COMMAND.commands[name]
    assert COMMANDS[name].summary == command.get_short_help_str(limit=200)
    assert command.name == name
    assert COMMANDS[name].summary in " ".join(CliRunner().invoke(app, ["--help"]).output.split())


def test_a_mistyped_command_is_refused_with_the_one_that_was_meant() -> None:
    refused = CliRunner().invoke(app, ["wokspaces", "list"])
    assert refused.exit_code == 2
    assert "Did you mean 'workspaces'?" in refused.output


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
