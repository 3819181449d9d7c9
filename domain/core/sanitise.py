"""Repairs text and JSON that PostgreSQL cannot store or that some JSON readers cannot read.

The ledger keeps the received bytes unchanged.  Read models need values that ``text`` and ``jsonb``
can store and that every JSON reader understands: NUL and lone surrogates become U+FFFD; integers
beyond ±2^53, numbers with exponents beyond ±308 and overlong numbers become text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

MAX_EXACT_INTEGER = 2**53
"""Largest integer that every JSON reader, JavaScript's included, keeps exact."""

MAX_NUMBER_LENGTH = 100
"""In characters; a longer one is not a quantity, and ``jsonb`` has limits of its own."""

MAX_NESTING = 64
"""Deepest nesting of a document that needs repair; ingest allows half of that."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PLAIN_SHAPE = bytes.maketrans(b"123456789E+", b"000000000e-")
_WIDE_NUMBER = re.compile(rb"[:\[,]\s*-?(?:[0-9.]{16}|[0-9.]+[eE][+-]?[0-9]{3})")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def storable_text(value: str) -> str:
    """Replaces the characters that a ``text`` column cannot store by U+FFFD."""
    if value.isascii() and "\0" not in value:
        return value
    return _UNSTORABLE.sub("\ufffd", value)


def is_storable_text(value: str) -> bool:
    """Returns whether a ``text`` column can store the string unchanged, as every event name."""
    return storable_text(value) == value


def is_storable_json(document: bytes) -> bool:
    """Returns whether JSON that ``msgspec`` has decoded can be stored in ``jsonb`` unchanged.

    May return False for a good document, never True for a bad one.
    """
    if document.find(b"\\u0000") >= 0:
        return False
    # A few passes at the speed of memory first: the regular expression costs five times as much.
    find = document.translate(_PLAIN_SHAPE).find
    if find(b"0000000000000000") < 0 and find(b"0e000") < 0 and find(b"0e-000") < 0:
        return True
    return _WIDE_NUMBER.search(document) is None


def parse_leniently(document: bytes) -> Any:
    """Decodes JSON as leniently as possible and returns a value that ``jsonb`` can store.

    Raises ValueError (or the parser's RecursionError) for invalid JSON and for nesting beyond
    `MAX_NESTING`.
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
    """Encodes a value of `parse_leniently`, each number with the digits that were read."""
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
    # A fixed limit: the interpreter's stack limit would differ from one reading to the next.
    if depth > MAX_NESTING:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): _storable(item, depth + 1) for key, item in value.items()}
    return value
