"""JSON schemas as text: what a value may be, with links to the schemas it refers to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from docs.reference_pages.markdown import code, table

Schema = Mapping[str, Any]
Link = Callable[[str], str]
"""Gives the text that stands for a schema by its name."""

_FORMATS = {
    "date-time": "time, RFC 3339",
    "date": "date",
    "uuid": "UUID",
    "binary": "file",
    "json-string": "JSON text",
}
_BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {}"),
    ("maxItems", "at most {}"),
    ("pattern", "matches `{}`"),
)

_DURATION = "^[1-9][0-9]{0,8}[smhd]$"
"""How the schemas of conditions and rules spell 90s, 15m, 24h and 30d."""

_LARGEST = 2**63 - 1
"""What PostgreSQL's integers hold: no limit that a reader meets."""


def ref_name(reference: str) -> str:
    """Return the name of the schema that a `$ref` points to."""
    return reference.rpartition("/")[2]


def type_text(schema: Schema, link: Link) -> str:
    """Return what a value of the schema may be."""
    if schema.get("pattern") == _DURATION:
        return "duration"
    text = _kind(schema, link)
    bounds = [
        text.format(schema[name])
        for name, text in _BOUNDS
        if name in schema and schema[name] != _LARGEST
    ]
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _kind(schema: Schema, link: Link) -> str:
    if "$ref" in schema:
        return link(ref_name(schema["$ref"]))
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema and not schema.keys() & {"type", "enum"}:
            return " or ".join(dict.fromkeys(type_text(each, link) for each in schema[several]))
    if "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return " or ".join(code(json.dumps(value)) for value in values)
    kinds = schema.get("type", "any value")
    if kinds == "array":
        return _array(schema, link)
    return " or ".join(kinds) if isinstance(kinds, list) else _simple(kinds, schema, link)


def _simple(kind: str, schema: Schema, link: Link) -> str:
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        values = schema["additionalProperties"]
        return f"object of {type_text(values, link)}" if values else "object"
    return _FORMATS.get(schema.get("format", schema.get("contentMediaType", "")), kind)


def _array(schema: Schema, link: Link) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(type_text(each, link) for each in schema['prefixItems'])}]"
    items = schema.get("items")
    return f"list of {type_text(items, link)}" if items else "list"


def fields(schema: Schema, link: Link, notes: Mapping[str, str] | None = None) -> str:
    """Return the members of an object as a table; ``notes`` adds a description by member."""
    notes = notes or {}
    required = schema.get("required", ())
    return table(
        ("member", "type", "default", "meaning"),
        (
            (
                code(name),
                type_text(member, link),
                "required" if name in required else _default(member),
                member.get("description") or notes.get(name, ""),
            )
            for name, member in schema.get("properties", {}).items()
        ),
    )


def _default(member: Schema) -> str:
    value = member.get("default")
    return "" if value is None else code(json.dumps(value, ensure_ascii=False))


def references(schema: Any) -> Iterator[str]:
    """Give out the names of the schemas that a schema refers to, itself only."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield ref_name(schema["$ref"])
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def closure(schema: Any, schemas: Mapping[str, Schema]) -> list[str]:
    """Return the names of all schemas that one leads to, in order of appearance."""
    found: dict[str, None] = {}
    pending = list(references(schema))
    while pending:
        name = pending.pop(0)
        if name in schemas and name not in found:
            found[name] = None
            pending.extend(references(schemas[name]))
    return list(found)
