"""What tests/README.md promises of the tests themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = sorted(TESTS.rglob("*.py"))
PROFILES = {TESTS / "conftest.py", TESTS / "examples.py", Path(__file__)}
SMOKED = sorted(
    folder
    for kind in ("integration", "contracts", "properties", "e2e")
    for folder in (TESTS / kind, *(TESTS / kind).iterdir())
    if folder.is_dir() and [*folder.glob("test_*.py")]
)


def name(path: Path) -> str:
    return str(path.relative_to(TESTS))


def imported(path: Path) -> set[str]:
    """Return the modules that a module imports, and what it imports from them, with dots."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    plain = {it.name for node in nodes if isinstance(node, ast.Import) for it in node.names}
    return plain | {
        f"{node.module}.{it.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for it in node.names
    }


def test_no_module_imports_a_test_module() -> None:
    found = {
        (name(path), it)
        for path in MODULES
        for it in imported(path)
        if it.startswith("tests.") and any(part.startswith("test_") for part in it.split("."))
    }
    assert found == set()


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}


@pytest.mark.parametrize("word", ["max_examples", "stateful_step_count", "settings("])
def test_example_counts_stand_in_the_profiles_alone(word: str) -> None:
    """Other modules take `examples.share` of the profile's count."""
    hypothesis = (it for it in MODULES if "hypothesis" in it.read_text())
    assert [name(it) for it in hypothesis if it not in PROFILES and word in it.read_text()] == []


@pytest.mark.parametrize("folder", SMOKED, ids=name)
def test_every_folder_has_a_smoke_test(folder: Path) -> None:
    """So that `make test-fast` starts each kind of part that the tests have."""
    marked = [it for it in folder.glob("test_*.py") if "pytest.mark.smoke" in it.read_text()]
    assert len(marked) == 1
