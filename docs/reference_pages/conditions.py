"""The page about conditions: every kind, its members, and examples that the reader accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from docs.reference_pages import markdown, structs
from docs.reference_pages.json_schema import closure
from docs.reference_pages.markdown import code, slug, table
from domain.conditions import CONDITIONS, Condition, parse_condition, schema
from domain.conditions.values import Operator

OPERATORS: Mapping[str, tuple[Any, str]] = {
    "eq": ("pro", "equal, of the same JSON type; 1 and 1.0 are one number"),
    "ne": ("pro", "no value is equal; true where there is no value"),
    "gt": (100, "greater: numbers with numbers, strings with strings by code point"),
    "gte": (100, "greater or equal"),
    "lt": (100, "less"),
    "lte": (100, "less or equal"),
    "between": ([10, 20], "from the first to the second, both included"),
    "in": (["a", "b"], "equal to one of the values"),
    "not_in": (["a", "b"], "equal to none of the values; true where there is no value"),
    "contains": ("pro", "a string with this part, or a list with this element"),
    "not_contains": ("pro", "the opposite; true where there is no value"),
    "starts_with": ("https://", "a string that begins with this one"),
    "ends_with": ("@example.com", "a string that ends with this one"),
    "exists": (None, "there is a value, and it is not null"),
    "not_exists": (None, "there is no value, or it is null"),
    "before": ("2026-01-31T12:00:00Z", 'a time before an instant, or before `{"ago": "7d"}`'),
    "after": ("2026-01-31T12:00:00Z", "a time after it"),
    "on": ("2026-01-31", "a time on the same UTC day"),
}
"""Each operator with a value that it takes, and what it means."""

_OPERATOR = "Operator"

_INTRODUCTION = """\
# Conditions

A condition is a predicate on a profile at an instant. Segments, audiences of rules and the terms of a score are conditions, written as JSON.
One member names the kind: a condition with the member `tag` asks for a tag. `GET /v1/schemas/condition` answers the JSON schema that this
page is made from, and `POST /v1/segments/preview` counts the profiles a condition holds for. A condition that is not valid is answered
with 400 and a JSON pointer in `details.path`.

Durations are `90s`, `15m`, `24h`, `30d`; a day is 24 hours. Instants are RFC 3339 (`2026-01-31T12:00:00Z`) or a date, which is its first
instant in UTC. Paths lead into an event's document (`properties.total`, `context.page.url`); `items[].sku` stands for the `sku` of any
element of a list.
"""


def page() -> str:
    """Return the page."""
    schemas = _with_linked_operators(schema.schema_components(CONDITIONS))
    kinds = [each.__name__ for each in CONDITIONS]
    shared = [
        name
        for name in closure([schemas[kind] for kind in kinds], schemas)
        if name not in {*kinds, Condition.__name__, _OPERATOR}
    ]
    return markdown.page(
        _INTRODUCTION,
        table(
            ("member", "condition", "what it asks"),
            ((code(kind.KEY), link(kind.__name__), markdown.summary(kind)) for kind in CONDITIONS),
        ),
        *(
            structs.section(
                kind.__name__,
                schemas[kind.__name__],
                link,
                structs.examples([*kind.EXAMPLES]),
                heading=f"## {_heading(kind)}",
            )
            for kind in CONDITIONS
        ),
        "## Parts of conditions",
        *(structs.section(name, schemas[name], link, heading=f"### {name}") for name in shared),
        _operators(),
    )


def link(name: str) -> str:
    """Return a link to the section of a condition, or of a part of one, on this page."""
    if name == _OPERATOR:
        return "[operator](#operators)"
    kind = next((each for each in CONDITIONS if each.__name__ == name), None)
    if name == Condition.__name__:
        return "[condition](#conditions)"
    return f"[{name}](#{slug(name if kind is None else _heading(kind))})"


def _with_linked_operators(schemas: dict[str, Any]) -> dict[str, Any]:
    """Refer to the table of operators instead of listing all of them at each comparison."""
    for described in schemas.values():
        op = described.get("properties", {}).get("op", {})
        if set(op.get("enum", ())) == OPERATORS.keys():
            described["properties"]["op"] = {"$ref": _OPERATOR}
    return schemas


def _heading(kind: type[Condition]) -> str:
    return f"`{kind.KEY}`: {kind.__name__}"


def _operators() -> str:
    if OPERATORS.keys() != set(get_args(Operator)):
        raise ValueError(f"{__name__}.OPERATORS does not describe exactly the operators there are")
    for name, (value, _) in OPERATORS.items():
        parse_condition({"attribute": "a", "op": name} | _operand(value))
    return markdown.page(
        "## Operators",
        "They compare the values at a path. Where a path leads to several values, one that compares is enough; the operators that"
        " say *no* or *not* hold if none does.",
        table(
            ("operator", "example", "holds for"),
            (
                (code(name), code(json.dumps(value)) if value is not None else "no value", meaning)
                for name, (value, meaning) in OPERATORS.items()
            ),
        ),
    )


def _operand(value: Any) -> dict[str, Any]:
    return {} if value is None else {"value": value}
