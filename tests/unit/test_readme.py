"""The README is true: its settings and commands exist, and its quick start is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from interfaces.settings import SETTINGS

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_table_lists_every_setting() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `FOLDLINE_")]
    assert rows == [
        f"| `{setting.env}` | `{setting.flag}` | {f'`{setting.default}`' if setting.default else ''}"
        f" | {setting.help} |"
        for setting in SETTINGS
    ]


def test_the_two_commands_end_in_demo_and_pytest() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [command.split("/")[-1] for command in commands] == ["foldline demo", "pytest"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`?foldline ([a-z]+)\b", README))))
def test_every_command_of_the_readme_exists(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "interfaces.cli.main", command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
