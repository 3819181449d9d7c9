"""What pages tell readers to type exists: commands, their options, and routes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from docs.reference_pages import command_line, native_api
from interfaces.wire import FORMATS
from tests.pages import DOCS, ROOT, Page

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*DOCS.rglob("*.md"), ROOT / "README.md")
    if not {"_build", "reference"} & {*path.relative_to(ROOT).parts}
)
EXTENDING = "docs/howto/add-"
"""Pages that add a route of their own."""

_COMMAND = re.compile(r"(?:^|[\s`(/])foldline ((?!is\b)[a-z][^\n`|;)]*)", re.MULTILINE)
_QUOTED = re.compile(r'"(/[^"\s]*)"')
_PATH = re.compile(r"(?:\$URL|http://127\.0\.0\.1:8080)(/[^\s\"'?]*)")


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_exists_with_its_options(name: str):
    for block in Page(name, root=ROOT).of("sh", "console", "bash"):
        for line in _COMMAND.findall(block.text.replace("\\\n", " ")):
            words = shlex.split(line.partition(" #")[0].partition(">")[0].partition("&&")[0])
            command, options = _split(words)
            known = {it for param in command.params for it in param.opts} | {"--help", "-h"}
            assert {it.partition("=")[0] for it in options} <= known, f"{name}: {line}"


@pytest.mark.parametrize("name", PAGES)
def test_every_address_of_a_page_is_a_route(name: str):
    for block in Page(name, root=ROOT).of("sh", "console", "bash"):
        for path in _PATH.findall(block.text):
            added = name.startswith(EXTENDING) and f'"{path.removeprefix("/v1")}"' in _text(name)
            own = name.startswith(EXTENDING) and _one_of(_QUOTED.findall(_text(name)), path)
            assert added or own or _is_route(path), f"{name}: {block}: {path}"


@cache
def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _split(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words name, and its options."""
    commands = dict(command_line.commands())
    name = "foldline"
    while words and f"{name} {words[0]}" in commands:
        name = f"{name} {words.pop(0)}"
    command = commands[name]
    assert not getattr(command, "commands", None) or not words or words[0].startswith("-"), words
    return command, [it for it in words if it.startswith("-") and it != "-"]


def _pattern(paths: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(it)) for it in paths))


def _one_of(paths: Iterable[str], path: str) -> bool:
    return bool(_pattern(paths).fullmatch(path))


@cache
def _patterns() -> re.Pattern[str]:
    paths = [route.path for route in native_api.routes()] + native_api.undocumented()
    paths += [path for wire_format in FORMATS.values() for path in wire_format.paths]
    return _pattern(paths)


def _is_route(path: str) -> bool:
    return path == "/" or bool(_patterns().fullmatch(path))
