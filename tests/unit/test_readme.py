"""The README is short and true: its links and commands exist, its quick start is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


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
