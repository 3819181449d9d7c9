"""Pieces of Markdown that the reference pages are made of."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

WIDTH = 88
"""Characters of a line of JSON."""

_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


def slug(heading: str) -> str:
    """Return the anchor of a heading, as MyST and GitHub make it."""
    return _NOT_IN_SLUG.sub("", heading.lower()).replace(" ", "-")


def code(text: object) -> str:
    """Return inline code; an empty text stays empty."""
    return f"`{text}`" if str(text) else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; without rows, nothing.  Columns that are empty in every row are left out."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return ""
    columns = [at for at in range(len(headings)) if any(row[at] for row in cells)]
    lines = [
        [headings[at] for at in columns],
        ["---"] * len(columns),
        *([row[at] for at in columns] for row in cells),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def json_text(value: Any) -> str:
    """Return a value as JSON; nothing for none."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def json_block(value: Any) -> str:
    """Return a JSON document: each object and list on one line where it fits, else indented."""
    return f"```json\n{_json(value, 0)}\n```\n"


def _json(value: Any, depth: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if not value or len(text) + 2 * depth <= WIDTH or not isinstance(value, (dict, list)):
        return text
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    parts = (
        [f"{json.dumps(name)}: {_json(each, depth + 1)}" for name, each in value.items()]
        if isinstance(value, dict)
        else [_json(each, depth + 1) for each in value]
    )
    indent = "  " * (depth + 1)
    return f"{opening}\n{indent}" + f",\n{indent}".join(parts) + f"\n{'  ' * depth}{closing}"


def docstring(described: Any) -> str:
    """Return a docstring as Markdown; the code writes its docstrings so that they are."""
    return inspect.getdoc(described) or ""


def summary(described: Any) -> str:
    """Return the first line of a docstring."""
    return docstring(described).partition("\n")[0]


def page(*parts: str) -> str:
    """Return parts with an empty line between; empty ones are left out."""
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _cell(value: object) -> str:
    return str(value).strip().replace("|", r"\|").replace("\n", " ")
