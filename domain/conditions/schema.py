"""The JSON schema of conditions, derived from their classes.

Each class adds in `SCHEMA` what it checks beyond the types of its fields, as far as a schema can express
it.  It cannot express that a path, a time or a pattern is valid, that bounds are in order, how deep groups
are nested, and that a `where` takes no relative time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from domain.conditions.base import Condition


def schema_components(
    kinds: Iterable[type[Condition]], ref: str = "#/$defs/{name}"
) -> dict[str, Any]:
    """Returns the schemas by name; `Condition` is any of the classes.

    ``ref`` is the template of references between them, such as that of OpenAPI.
    """
    kinds = tuple(kinds)
    _, schemas = msgspec.json.schema_components([*kinds, Condition], ref_template=ref)
    for struct in _structs(inspect.multi_type_info(kinds)):
        schema, narrowing = schemas[struct.__name__], getattr(struct, "SCHEMA", {})
        for name, constraint in narrowing.get("properties", {}).items():
            schema["properties"][name] |= constraint
        schema |= {**narrowing, "properties": schema["properties"]}
    schemas["Condition"] = {
        "title": "Condition",
        "description": "A predicate on a profile at an instant.",
        "anyOf": [{"$ref": ref.format(name=kind.__name__)} for kind in kinds],
        "examples": [example for kind in kinds for example in kind.EXAMPLES],
    }
    return schemas


def schema_document(kinds: Iterable[type[Condition]]) -> dict[str, Any]:
    """Returns the schema of a condition as a self-contained document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/Condition",
        "$defs": schema_components(kinds),
    }


def _structs(types: Iterable[inspect.Type]) -> Iterator[type]:
    """Yields the classes that JSON documents of some types consist of."""
    for type_ in types:
        if isinstance(type_, inspect.StructType):
            yield type_.cls
            yield from _structs(field.type for field in type_.fields)
        elif isinstance(type_, inspect.UnionType):
            yield from _structs(type_.types)
        elif isinstance(type_, inspect.VarTupleType):
            yield from _structs((type_.item_type,))
