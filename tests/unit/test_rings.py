"""The rules of tests/README.md for the tests themselves."""

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
    """Returns the dotted names of the modules that a module imports, and of their members."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_no_module_imports_a_test_module() -> None:
    imports = {
        (name(path), module)
        for path in MODULES
        for module in imported(path)
        if module.startswith("tests.")
        and any(part.startswith("test_") for part in module.split("."))
    }
    assert imports == set()


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}


@pytest.mark.parametrize("word", ["max_examples", "stateful_step_count", "settings("])
def test_only_the_profiles_contain_example_counts(word: str) -> None:
    """Other modules take `examples.share` of the profile's count."""
    texts = {path: path.read_text() for path in MODULES if path not in PROFILES}
    assert [
        name(path) for path, text in texts.items() if "hypothesis" in text and word in text
    ] == []


@pytest.mark.parametrize("folder", SMOKED, ids=name)
def test_every_folder_has_a_smoke_test(folder: Path) -> None:
    """So that `make test-fast` starts every kind of component that the tests use."""
    marked = [path for path in folder.glob("test_*.py") if "pytest.mark.smoke" in path.read_text()]
    assert len(marked) == 1
