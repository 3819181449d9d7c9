"""Pages of the documentation: their fenced blocks, to be executed as they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

ANYTHING = "…"
"""In a page's JSON: a text that stands for any value."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"`([\w./-]+\.\w+|\w+file)`")


@dataclass(frozen=True)
class Block:
    """One fenced block, and the file that the sentence before it names."""

    language: str
    text: str
    line: int
    file: str

    def __str__(self) -> str:
        return f"{self.language} block at line {self.line}"


class Page:
    """A page of docs/."""

    def __init__(self, name: str, *, root: Path = DOCS) -> None:
        self.path = root / name
        self.text = self.path.read_text()

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(self._blocks())

    def of(self, *languages: str) -> list[Block]:
        """Return the blocks in one of these languages, in order."""
        return [it for it in self.blocks if it.language in languages]

    def file(self, name: str) -> str:
        """Return the content of the file that the page shows under this name."""
        [text] = [it.text for it in self.blocks if it.file == name and it.language != "diff"]
        return text

    def _blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            before = self.text[: found.start()].rstrip()
            paragraph = before.rpartition("\n\n")[2]
            names = _FILE.findall(paragraph) if paragraph.endswith(":") else []
            indent = len(found["indent"])
            lines = [line[indent:] for line in found["text"].splitlines()]
            line = self.text.count("\n", 0, found.start()) + 1
            yield Block(
                found["language"], "\n".join(lines) + "\n", line, names[-1] if names else ""
            )


def patched(source: str, diff: str) -> str:
    """Return a text after a diff whose hunks have no numbers and `...` between them."""
    for hunk in re.split(r"^\.\.\.\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] or "\n" for line in lines if line[0] in " -\n")
        new = "".join(line[1:] or "\n" for line in lines if line[0] in " +\n")
        assert source.count(old) == 1, f"{source.count(old)} times in the file:\n{old}"
        source = source.replace(old, new)
    return source


def matches(expected: Any, actual: Any) -> bool:
    """Say whether JSON is as a page shows it: objects may have more members, `…` is any value."""
    if expected == ANYTHING:
        return True
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            name in actual and matches(value, actual[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(map(matches, expected, actual))
        )
    return bool(expected == actual)


def last_json(printed: str) -> Any:
    """Return the last JSON document of several that were printed one after the other."""
    decoder, at, document = json.JSONDecoder(), 0, None
    while at < len(printed):
        document, at = decoder.raw_decode(printed, at)
        at += len(printed[at:]) - len(printed[at:].lstrip())
    return document


class Shell:
    """Runs the commands of pages, with `foldline` and `python` on the path."""

    def __init__(self, folder: Path, *, code: Path = ROOT, **variables: str) -> None:
        self.folder = folder
        bin_folder = folder / "bin"
        bin_folder.mkdir(parents=True)
        for name, arguments in (("foldline", " -m interfaces.cli.main"), ("python", "")):
            script = bin_folder / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P{arguments} "$@"\n')
            script.chmod(0o755)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FOLDLINE_")},
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(code),
            "PYTHONUNBUFFERED": "1",
            **variables,
        }

    def run(self, script: str, seconds: float = 120) -> str:
        """Run a script; return what it printed.  Fails with all output unless it exits with 0."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def follow(self, page: Page, *, without: frozenset[str] = frozenset()) -> int:
        """Run every `sh` block of a page in order; a `json` block after one is what it has to print.

        Return how many were compared.
        """
        printed, compared = "", 0
        for block in page.of("sh", "json"):
            if block.language == "sh" and block.text not in without:
                printed = self.run(block.text)
            elif block.language == "json" and printed:
                expected, actual = json.loads(block.text), last_json(printed)
                assert matches(expected, actual), f"{page.path}: {block}\n{actual}"
                printed, compared = "", compared + 1
        return compared


Serve = Callable[..., Shell]
"""The fixture `serve`: serves with the code of a folder, and gives the shell to try it in."""


def checkout(folder: Path, page: Page) -> Path:
    """Copy the packages, write the files of a page there and apply its diffs; return the folder."""
    for name in ("domain", "application", "projections", "interfaces"):
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for block in page.blocks:
        path = folder / block.file
        if block.language == "diff":
            path.write_text(patched(path.read_text(), block.text))
        elif block.language == "python" and "/" in block.file:
            assert not path.exists(), f"{block} would overwrite {block.file}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    return folder
