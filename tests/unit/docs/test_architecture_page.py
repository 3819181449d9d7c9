"""The architecture page names what exists, and its arrows are calls or imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"

_BLOCK = re.compile(r"^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"(?P<indent> *)(?:→ )?(?P<name>[a-z]\w*(?:\.\w+)+)(?: {2,}\S.*)?")


class Arrow(NamedTuple):
    """One line of a walk, and the line that it is indented below."""

    source: str
    target: str


class Named(NamedTuple):
    """What a dotted name of the page stands for."""

    module: ModuleType
    path: tuple[str, ...]
    """The attributes that lead from the module to it."""

    value: Any


def walks() -> list[list[tuple[int, str]]]:
    """Return the fenced blocks of the page: each line's indentation and name."""
    blocks = []
    for block in _BLOCK.findall(PAGE.read_text()):
        lines = []
        for line in block.splitlines():
            parts = _LINE.fullmatch(line)
            assert parts is not None, f"neither a name nor an arrow: {line!r}"
            lines.append((len(parts["indent"]), parts["name"]))
        blocks.append(lines)
    return blocks


def arrows() -> Iterator[Arrow]:
    """Yield each line with the nearest line above it that is indented less."""
    for lines in walks():
        above: list[tuple[int, str]] = []
        for indent, name in lines:
            while above and above[-1][0] >= indent:
                above.pop()
            if above:
                yield Arrow(above[-1][1], name)
            above.append((indent, name))


def names() -> list[str]:
    """Return every name on the page, once."""
    return sorted({name for lines in walks() for _, name in lines})


@cache
def find(name: str) -> Named:
    """Import the longest prefix that is a module, and follow the rest.  Raises AttributeError."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module_name = ".".join(parts[:end])
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            continue
        value: Any = module
        for part in parts[end:]:
            value = getattr(value, part)
        return Named(module, tuple(parts[end:]), value)
    raise ModuleNotFoundError(name)


def imported_by(module: ModuleType) -> frozenset[str]:
    """Return the modules, and names of modules, that a module imports anywhere in its text."""
    imported = set[str]()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Import):
            imported |= {it.name for it in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}", *(f"{node.module}.{it.name}" for it in node.names)}
    return frozenset(imported)


def source_of(named: Named) -> str:
    """Return the text of a function, a class, or an assignment of the module."""
    value = inspect.unwrap(named.value) if callable(named.value) else named.value
    if inspect.isfunction(value) or inspect.isclass(value):
        return inspect.getsource(value)
    text = inspect.getsource(named.module)
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(it, ast.Name) and it.id == named.path[0] for it in targets):
            return ast.get_source_segment(text, node) or ""
    raise LookupError(named.path)


def is_real(arrow: Arrow) -> bool:
    """Say whether the source mentions the target's name, or imports its module."""
    source, target = find(arrow.source), find(arrow.target)
    if re.search(rf"\b{target.path[-1]}\b", source_of(source)):
        return True
    return source.module is not target.module and target.module.__name__ in imported_by(
        source.module
    )


def test_the_page_has_three_walks_of_arrows() -> None:
    assert PAGE.read_text().count("\n## A ") == 3
    assert len(list(arrows())) > 50


@pytest.mark.parametrize("name", names())
def test_each_name_on_the_page_exists(name: str) -> None:
    find(name)


@pytest.mark.parametrize("arrow", list(arrows()), ids=lambda it: f"{it.source} → {it.target}")
def test_each_arrow_is_a_call_or_an_import(arrow: Arrow) -> None:
    assert is_real(arrow)


@pytest.mark.parametrize(
    "arrow",
    [
        Arrow("projections.timeline.fold.apply", "application.ledger.append.append.append_events"),
        Arrow("domain.segments.segment.Segment.define", "interfaces.http.app.create_app"),
        Arrow(
            "application.ledger.append.append._copy",
            "application.ledger.append.append.append_events",
        ),
    ],
    ids=str,
)
def test_an_arrow_that_is_not_in_the_code_is_noticed(arrow: Arrow) -> None:
    assert not is_real(arrow)


def test_a_name_that_is_not_in_the_code_is_noticed() -> None:
    with pytest.raises(AttributeError):
        find("application.ledger.append.append.unheard_of")
