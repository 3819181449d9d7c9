"""The tutorial and the README: their commands, in order, answer as written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_postgres import Template, clone
from tests.pages import ROOT, Page, Shell
from tests.serving import Server, bearer, wait_until

TUTORIAL = Page("tutorial.md")
README = Page("README.md", root=ROOT)
ADA = "/v1/profiles/user_id:ada"


@pytest.fixture
def demo(template: Template, tmp_path: Path) -> Iterator[Shell]:
    """Run the demo; gives a shell with the variables that it prints."""
    with clone(template) as dsn:
        command = (sys.executable, "-P", "-m", "interfaces.cli.main")
        with Server.on(tmp_path, dsn, command=command, subcommand="demo") as server:
            exports = dict(re.findall(r"^export (\w+)=(\S+)$", server.output(), re.MULTILINE))
            key = bearer(exports["READ_KEY"])
            wait_until(
                lambda: b"big-spender" in server.ask("GET", ADA, headers=key).body,
                20,
                "the demo's rule has tagged Ada",
            )
            yield Shell(tmp_path / "shell", **exports)


def test_the_tutorial_runs_as_it_is_written(demo: Shell) -> None:
    assert demo.follow(TUTORIAL) == len(TUTORIAL.of("json"))


@pytest.mark.smoke
def test_the_five_minutes_of_the_readme_answer(demo: Shell) -> None:
    blocks = [block for block in README.of("sh") if "$URL" in block.text]
    assert len(blocks) == 4
    for block in blocks:
        for command in re.split(r"\n(?=curl )", block.text):
            assert "code" not in json.loads(demo.run(command)), f"README.md: {block}"


def test_both_start_with_the_same_command() -> None:
    [start] = re.findall(r"^\$ (.*foldline demo)$", TUTORIAL.text, re.MULTILINE)
    assert start in README.text
