"""Validation errors of msgspec, as a JSON pointer and a sentence that names the choices."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec import inspect

_LOCATED = re.compile(r"(?P<problem>.*) - at `\$(?P<location>.*)`", re.DOTALL)
_LOCATION_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN_VALUE = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)


def locate_problem(
    error: msgspec.ValidationError, kind: type, pointer: str = ""
) -> tuple[str, str]:
    """Returns the JSON pointer of the invalid value, and what is wrong with it.

    ``kind`` is the type that the document was converted to, ``pointer`` that of the document.
    """
    match = _LOCATED.fullmatch(str(error))
    problem, location = (str(error), "") if match is None else match.group("problem", "location")
    steps = [name or index for name, index in _LOCATION_STEP.findall(location)]
    unknown = _UNKNOWN_VALUE.fullmatch(problem)
    if unknown is not None:
        noun = "operator" if steps[-1:] == ["op"] else "value"
        problem = f"unknown {noun} {unknown['value']}"
        if choices := _choices(_type_info(kind), steps):
            problem += f"; use one of {', '.join(choices)}"
    else:
        problem = problem[:1].lower() + problem[1:]
    return pointer + "".join(f"/{step}" for step in steps), problem


def describe_problem(
    error: msgspec.ValidationError, noun: str, kind: type, pointer: str = ""
) -> str:
    """Returns a message such as "the funnel is not valid at /steps/0/event: expected `str` …"."""
    location, problem = locate_problem(error, kind, pointer)
    return f"the {noun} is not valid{f' at {location}' if location else ''}: {problem}"


@lru_cache(maxsize=256)
def _type_info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _choices(type_: inspect.Type, steps: list[str]) -> list[str]:
    """Returns the values of the literal type at a location; empty for any other type."""
    if isinstance(type_, inspect.UnionType):
        return [choice for member in type_.types for choice in _choices(member, steps)]
    if not steps:
        return (
            [str(value) for value in type_.values] if isinstance(type_, inspect.LiteralType) else []
        )
    if isinstance(type_, inspect.StructType):
        for field in type_.fields:
            if field.encode_name == steps[0]:
                return _choices(field.type, steps[1:])
    if isinstance(type_, inspect.VarTupleType | inspect.ListType):
        return _choices(type_.item_type, steps[1:])
    return []
