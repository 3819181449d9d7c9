"""The words of code and texts: the field's terms only, and docstrings that begin with a short line.

The glossary (`docs/glossary.md`) is the vocabulary.  What is recorded, published or another system's keeps its name.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("domain", "application", "projections", "interfaces", "tests", "docs")
TEXTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

PRONOUNS = (
    *("whom", "whoever", "whomever", "somebody", "someone", "nobody", "anybody", "everybody"),
    *("anew", "thereby", "henceforth"),
)
"""Words that hide which thing is meant, or that no field uses."""

IDENTIFIERS = ("whose", "said", "told", "asked", "met")
"""Words that were names of nine different things; in a sentence they are plain English."""

PEOPLE = ("person", "persons", "people")
"""A customer is a *profile*."""

ALLOWED = re.compile(
    r"person_(?:created|merged|unmerged)"  # names of derived events, recorded in ledgers
    r"|people/[23]|/people|persons?/|['\"](?:persons?|people|anew)['\"]|--anew"  # paths, JSON fields, flags
    r"|person=b"  # the domain separation parameter of BLAKE2
)

COLUMNS = {"person"}
"""Columns of the ledger's tables, which are never renamed; allowed in SQL of `application/ledger`."""

FIELDS = {
    "interfaces/http/api/ops/schemas.py": {"anew"},
    "interfaces/http/api/ops/projections.py": {"anew"},
    "interfaces/http/api/rules/schemas.py": {"people"},
    "interfaces/http/api/rules/dry_run.py": {"people"},
    "interfaces/cli/projections.py": {"anew"},
    "projections/rebuild/progress.py": {"asked"},  # a column that databases of 0.1 have
}
"""Names of JSON fields and flags, by file: they are published, so they stay."""

LONGEST_FIRST_LINE = 90


def findings(path: Path) -> list[str]:
    """Return what is wrong with a file, one line each."""
    relative = str(path.relative_to(ROOT))
    source = path.read_text()
    if path.suffix == ".py":
        fields = FIELDS.get(relative, set())
        columns = COLUMNS if relative.startswith("application/ledger/") else set()
        found = [*_in_python(source, fields, columns), *_long_first_lines(source)]
    else:
        lines = enumerate(source.splitlines(), 1)
        found = [(line, f"{word!r} in a text") for line, text in lines for word in _forbidden(text)]
    return [f"{relative}:{line}: {finding}" for line, finding in sorted(found)]


def _in_python(source: str, fields: set[str], columns: set[str]) -> Iterator[tuple[int, str]]:
    docstrings = _docstring_lines(source)
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.NAME:
            rest = lines[line - 1][token.start[1] :]
            for word in {*_parts(token.string)} & {*PRONOUNS, *IDENTIFIERS, *PEOPLE} - fields:
                if not ALLOWED.match(rest):
                    yield line, f"{word} in the name {token.string}"
        elif token.type == tokenize.COMMENT or "STRING" in tokenize.tok_name[token.type]:
            for number, text in enumerate(token.string.splitlines(), line):
                sql = (
                    columns if token.type != tokenize.COMMENT and line not in docstrings else set()
                )
                for word in {*_forbidden(text)} - fields - sql:
                    yield number, f"{word!r} in a text"


def _forbidden(text: str, words: Iterable[str] = (*PRONOUNS, *PEOPLE)) -> list[str]:
    text = ALLOWED.sub(" ", text)
    return [word for word in words if re.search(rf"\b{word}\b", text, re.IGNORECASE)]


def _parts(identifier: str) -> list[str]:
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", identifier).lower().split("_")


def _docstring_lines(source: str) -> set[int]:
    """Return the lines on which expressions that are only a text begin: docstrings."""
    return {
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _long_first_lines(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if len(first) > LONGEST_FIRST_LINE:
                yield getattr(node, "lineno", 1), f"a first line of {len(first)} characters"


def _files(folder: str) -> list[Path]:
    return [
        path
        for pattern in ("*.py", "*.md")
        for path in sorted((ROOT / folder).rglob(pattern))
        if not {"node_modules", "reference", "_build"} & {*path.parts} and path != Path(__file__)
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_only_the_fields_words_are_used(folder: str) -> None:
    assert [found for path in _files(folder) for found in findings(path)] == []


@pytest.mark.parametrize("name", TEXTS)
def test_texts_at_the_top_use_only_the_fields_words(name: str) -> None:
    assert findings(ROOT / name) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Whom it concerns."""\n', "1: 'whom' in a text"),
        ("asked_at = 1\n", "1: asked in the name asked_at"),
        ("class KnownPerson: ...\n", "1: person in the name KnownPerson"),
        ('x = f"{y} and nobody"\n', "1: 'nobody' in a text"),
        ("# made anew\n", "1: 'anew' in a text"),
        (f'"""{"x" * 91}"""\n', "1: a first line of 91 characters"),
    ],
)
def test_each_kind_is_found(source: str, expected: str) -> None:
    found = [*_in_python(source, set(), set()), *_long_first_lines(source)]
    assert [f"{line}: {finding}" for line, finding in found] == [expected]


def test_recorded_names_are_allowed() -> None:
    source = 'name = "person_created"\ndigest = blake2b(b"", person=b"delivery")\n'
    assert [*_in_python(source, set(), set())] == []
