"""msgspec structs as text: their fields, and the docstrings that stand below their fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

from docs.reference_pages import markdown
from docs.reference_pages.json_schema import Link, Schema, fields


@cache
def field_notes(struct: type) -> Mapping[str, str]:
    """Return the docstring of each field that has one, those of base classes included."""
    notes: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base.__module__.partition(".")[0] in {"domain", "application", "interfaces"}:
            notes |= dict(_own_notes(base))
    return notes


def _own_notes(struct: type) -> Iterator[tuple[str, str]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(struct)))
    [defined] = tree.body
    assert isinstance(defined, ast.ClassDef)
    for field, note in pairwise(defined.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(note, ast.Expr)
            and isinstance(note.value, ast.Constant)
            and isinstance(note.value.value, str)
        ):
            yield field.target.id, inspect.cleandoc(note.value.value)


def struct_named(name: str, root: type[msgspec.Struct] = msgspec.Struct) -> type | None:
    """Return the struct of the domain that a schema is made from."""
    struct: type[msgspec.Struct]
    for struct in root.__subclasses__():
        if struct.__name__ == name and struct.__module__.startswith("domain."):
            return struct
        if (found := struct_named(name, struct)) is not None:
            return found
    return None


def section(name: str, schema: Schema, link: Link, *more: str, heading: str = "") -> str:
    """Return a section about a struct: docstring, fields, and whatever else belongs there."""
    struct = struct_named(name)
    notes = field_notes(struct) if struct is not None else {}
    described = markdown.docstring(struct) if struct is not None else schema.get("description", "")
    return markdown.page(
        f"{heading or '## ' + name}", described, fields(schema, link, notes), *more
    )


def examples(documents: list[Any]) -> str:
    """Return the examples of a section."""
    title = "Example:" if len(documents) == 1 else "Examples:"
    return markdown.page(title, *map(markdown.json_block, documents)) if documents else ""
