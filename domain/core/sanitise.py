"""Make text and JSON fit to be stored and shown, one bad event at a time.

The ledger keeps what was received, whatever it was.  What is made of it keeps what ``text`` and
``jsonb`` can hold, and every reader of JSON can read: NUL and lone surrogates become U+FFFD; integers beyond ±2^53, exponents beyond ±308 and
numbers too long to be numbers become text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

MAX_EXACT_INTEGER = 2**53
"""Integers up to here survive every JSON reader, JavaScript's included."""

MAX_NUMBER_LENGTH = 100
"""In characters; what is longer is no quantity, and ``jsonb`` has limits of its own."""

MAX_NESTING = 64
"""Levels of nesting that a document in need of repair may have; ingest allows half of that."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PLAIN_SHAPE = bytes.maketrans(b"123456789E+", b"000000000e-")
_WIDE_NUMBER = re.compile(rb"[:\[,]\s*-?(?:[0-9.]{16}|[0-9.]+[eE][+-]?[0-9]{3})")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def storable_text(value: str) -> str:
    """Return the string with what a ``text`` column cannot hold replaced by U+FFFD."""
    if value.isascii() and "\0" not in value:
        return value
    return _UNSTORABLE.sub("\ufffd", value)


def is_storable_text(value: str) -> bool:
    """Say whether a ``text`` column can hold the string as it is: no event has another name."""
    return storable_text(value) == value


def is_storable_json(document: bytes) -> bool:
    """Say whether JSON that ``msgspec`` has read can go into ``jsonb`` as it is.

    May say no to a good document, never yes to a bad one.
    """
    if document.find(b"\\u0000") >= 0:
        return False
    # A few passes at the speed of memory first: the regular expression costs five times as much.
    find = document.translate(_PLAIN_SHAPE).find
    if find(b"0000000000000000") < 0 and find(b"0e000") < 0 and find(b"0e-000") < 0:
        return True
    return _WIDE_NUMBER.search(document) is None


def parse_leniently(document: bytes) -> Any:
    """Read JSON as leniently as it can be read, and return a value fit for ``jsonb``.

    Raises ValueError (RecursionError from the parser) for what is no JSON, or nested too deep.
    """
    return _storable(
        json.loads(
            document.decode("utf-8", "replace"),
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=str,
        )
    )


def dump_json(value: Any) -> bytes:
    """Write what :func:`parse` returned, each number as exactly as it was read."""
    return _encode(value)


def _integer(digits: str) -> int | str:
    if len(digits) > 17 or not -MAX_EXACT_INTEGER <= (number := int(digits)) <= MAX_EXACT_INTEGER:
        return digits
    return number


def _decimal(digits: str) -> Decimal | str:
    mantissa, _, exponent = digits.lower().partition("e")
    if len(mantissa) > MAX_NUMBER_LENGTH or len(exponent.lstrip("+-0")) > 3:
        return digits
    if not -308 <= int(exponent or 0) <= 308 or float(digits) in (float("inf"), float("-inf")):
        return digits
    return Decimal(digits)


def _storable(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    # A fixed limit: one that came from the interpreter's stack would differ between two readings.
    if depth > MAX_NESTING:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): _storable(item, depth + 1) for key, item in value.items()}
    return value
