"""The ``where=`` filter of queries: one comparison of one property.

``PATH OPERATOR VALUE``, or ``PATH exists``, or ``PATH not exists``:

- a path begins with ``properties`` and continues with ``.name``, ``["any name"]`` or ``[]``, which
  means any element of the list: ``properties.total``, ``properties["a b"]``,
  ``properties.items[].type``;
- an operator is one of ``= != > >= < <=``;
- a value is a JSON number, ``true``, ``false``, ``null`` or a string.  A string needs quotes only
  if it could be read as one of the others, is empty, or begins or ends with a space.

Types compare as types: a number never equals its text, and only numbers and strings have an order
(strings by code point).  ``!=`` is the negation of ``=``, so it holds where there is no value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, literal, not_
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from domain.core import sanitise
from domain.core.errors import InvalidRequest

MAX_LENGTH = 1_000
"""Characters that one filter may have."""

_ROOT = re.compile(r"properties(?=[.\[])")
_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]=!<>"']+)|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|(?P<any>\[\])"""
)
_EXISTS = re.compile(r"\s+(?P<absent>not\s+)?exists\s*")
_COMPARES = re.compile(r"\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_OPERATORS = {"=": "==", "!=": "==", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


@dataclass(frozen=True)
class PropertyFilter:
    """One parsed comparison."""

    steps: tuple[str | None, ...]
    """Names from the outside in; None is any element of a list."""

    operator: str
    """One of ``= != > >= < <= exists`` and ``not exists``."""

    value: str = "null"
    """The value of the comparison, as JSON text: numbers keep every digit."""


def parse_filter(text: str) -> PropertyFilter:
    """Parses one filter, or raises InvalidRequest with a correct form."""
    if len(text) > MAX_LENGTH:
        raise _invalid(text[:100], f"is longer than {MAX_LENGTH} characters")
    text = text.strip()
    root = _ROOT.match(text)
    if root is None:
        raise _invalid(text, "does not begin with a path such as properties.total")
    steps, at = _path(text, root.end())
    if exists := _EXISTS.fullmatch(text, at):
        return PropertyFilter(steps, "not exists" if exists["absent"] else "exists")
    compares = _COMPARES.fullmatch(text, at)
    if compares is None:
        raise _invalid(text, f"has no operator after {text[:at]!r}")
    value = _value(text, compares["value"])
    if compares["operator"] not in ("=", "!=") and value in ("true", "false", "null"):
        raise _invalid(text, f"orders by {value}, but only numbers and strings have an order")
    return PropertyFilter(steps, compares["operator"], value)


def sql_condition(document: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Returns the SQL condition that the properties in a ``jsonb`` column match the filter.

    Path and value are bound parameters; no part of the text becomes SQL.
    """
    filter_ = parse_filter(text)
    exists = func.jsonb_path_exists(
        document,
        cast(literal(_json_path(filter_), Text), JSONPATH),
        cast(literal('{"value":' + filter_.value + "}", Text), JSONB),
        True,  # `silent`: a document that the path does not fit has no match, instead of an error
    )
    return not_(exists) if filter_.operator in ("!=", "not exists") else exists


def path_step(name: str) -> str:
    """Returns a name as it is written in a path."""
    dotted = "." + name
    if (plain := _STEP.fullmatch(dotted)) and plain["name"]:
        return dotted
    return f"[{json.dumps(name, ensure_ascii=False)}]"


def _path(text: str, at: int) -> tuple[tuple[str | None, ...], int]:
    steps: list[str | None] = []
    while at < len(text) and text[at] in ".[":
        step = _STEP.match(text, at)
        if step is None:
            raise _invalid(text, f"has a path that cannot be read from {text[at : at + 20]!r} on")
        if step["quoted"]:
            steps.append(_string(text, step["quoted"]))
        else:
            steps.append(step["name"])
        at = step.end()
    return tuple(steps), at


def _value(text: str, value: str) -> str:
    if value == "":
        raise _invalid(text, 'has no value; write "" for the empty string')
    if value in ("true", "false", "null"):
        return value
    if value[0] == '"':
        return json.dumps(_string(text, value))
    if not _NUMBER.fullmatch(value):
        return json.dumps(sanitise.storable_text(value))
    if isinstance(sanitise.parse_leniently(value.encode()), str):
        raise _invalid(
            text,
            "compares with a number beyond ±2^53 or too long; such numbers are stored as text: quote it",
        )
    return value


def _string(text: str, quoted: str) -> str:
    try:
        value = json.loads(quoted)
    except ValueError:
        value = None
    if not isinstance(value, str):
        raise _invalid(text, f"has a quoted string that is not a JSON string: {quoted}")
    return sanitise.storable_text(value)


def _json_path(filter_: PropertyFilter) -> str:
    # Strict, so that a list does not stand for its elements unless [] is written; each step is guarded,
    # because in strict mode one element without the member would end the search.
    path = "strict $"
    for name in filter_.steps:
        if name is None:
            path += ' ? (@.type() == "array")[*]'
        else:
            member = "." + json.dumps(name)
            path += f" ? (exists(@{member})){member}"
    if filter_.operator in ("exists", "not exists"):
        return path
    return f"{path} ? (@ {_OPERATORS[filter_.operator]} $value)"


def _invalid(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(
        f"where={text!r} {problem}; write PATH OPERATOR VALUE, such as properties.total>100, "
        'properties.items[].type=monitor, properties["a b"]="x" or properties.coupon exists',
        where=text,
    )
