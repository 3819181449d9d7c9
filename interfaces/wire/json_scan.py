"""Finding one's way in JSON that a strict reader refuses, so that a bad message stays alone.

Nothing here recurses, and everything takes time in proportion to the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from interfaces.wire.base import InvalidMessage

MAX_DEPTH = 32
MAX_KEYS = 1000
"""Of one object."""

MAX_KEY_BYTES = 512
"""Of one key, as written."""

WHITESPACE = b" \t\r\n"

_STRING_BODY = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_NEXT_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"%b")*+(["{}\[\]]?)' % _STRING_BODY, re.DOTALL)
_UP_TO_COMMA = re.compile(rb'(?:[^"{}\[\],]++|"%b")*+' % _STRING_BODY, re.DOTALL)
_KEY = re.compile(rb'"(%b)"[ \t\r\n]*:[ \t\r\n]*' % _STRING_BODY, re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*:")
_SURROGATES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_CLOSES = {b"{": b"}", b"[": b"]"}
_ALL_BUT_OPENING = bytes(set(range(256)) - set(b"{["))
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_TO_BRACES = bytes.maketrans(b"[]", b"{}")


class MalformedJson(ValueError):
    """The brackets or quotes do not match, so there is no telling where anything ends."""


class MemberSpan(NamedTuple):
    """One member of an object: its key as written between the quotes, and where its value is."""

    key: bytes
    start: int
    end: int


def element_spans(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return where the elements of an array (or members of an object) begin and end.

    ``data[start:end]`` is the container; what its elements hold is not looked at beyond quotes and
    brackets.  An element that is missing (``[1,,2]``) is an empty slice.  Raises Malformed.
    """
    start, end = _trimmed(data, start, len(data) if end is None else end)
    if data[start : start + 1] not in (b"{", b"["):
        raise MalformedJson("neither an object nor an array")
    found: list[tuple[int, int]] = []
    at = part = start + 1
    while True:
        at = _end_of_value(data, at, end)
        part_end = at
        at += 1
        if data[part_end] in b"}]":
            break
        found.append(_trimmed(data, part, part_end))
        part = at
    if data[part_end : part_end + 1] != _CLOSES[data[start : start + 1]]:
        raise MalformedJson("a bracket is closed that was not opened")
    if at != end:
        raise MalformedJson("something follows the end")
    last = _trimmed(data, part, part_end)
    return [*found, last] if found or last[0] < last[1] else []


def _end_of_value(data: bytes, at: int, end: int) -> int:
    """Return where the comma or closing bracket is that ends the value at ``at``."""
    while True:
        skipped = _UP_TO_COMMA.match(data, at, end)
        assert skipped is not None  # it may be empty
        at = skipped.end()
        found = data[at : min(at + 1, end)]
        if found == b"":
            raise MalformedJson("a bracket is not closed")
        if found == b'"':
            raise MalformedJson("a text is not closed")
        if found not in _CLOSES:
            return at
        at = _end_of_brackets(data, at, end)


def _end_of_brackets(data: bytes, at: int, end: int) -> int:
    """Return where the brackets that open at ``at`` are all closed."""
    closing: list[bytes] = []
    for token in _NEXT_BRACKET.finditer(data, at, end):
        found = token[1]
        if found in _CLOSES:
            closing.append(_CLOSES[found])
        elif found == b'"':
            raise MalformedJson("a text is not closed")
        elif found == b"":
            break
        elif closing.pop() != found:
            raise MalformedJson("a bracket is closed that was not opened")
        elif not closing:
            return token.end()
    raise MalformedJson("a bracket is not closed")


def members(data: bytes, start: int = 0, end: int | None = None) -> list[MemberSpan]:
    """Return the members of the object ``data[start:end]``, in order.  Raises Malformed."""
    found = []
    for begin, until in element_spans(data, start, end):
        key = _KEY.match(data, begin, until)
        if key is None:
            raise MalformedJson("a member of an object has no key")
        found.append(MemberSpan(key[1], key.end(), until))
    return found


def lone_surrogates_as_nul(data: bytes) -> bytes:
    r"""Return JSON of the same length in which each half of a surrogate pair reads ``\u0000``.

    Clients in JavaScript cut texts in the middle of an emoji.  The strict reader refuses the whole
    body for one of them; this copy is for reading, the record keeps what came.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _SURROGATES.sub(lambda it: b"\\u0000" if it["lone"] else it[0], data)


def check_shape(raw: bytes) -> None:
    """Raise Refused unless the JSON text is UTF-8, and no deeper and wider than is allowed.

    A text that is not JSON at all may pass: that is found by reading it.
    """
    if not raw.isascii():
        check_utf8(raw)
    # Counting is quick and nearly always enough, though it counts inside of texts too.
    if len(raw.translate(None, _ALL_BUT_OPENING)) > MAX_DEPTH:
        _check_depth(_without_escapes(raw))
    length = len(raw)
    if length > MAX_KEY_BYTES:
        plain = _without_escapes(raw)
        _check_key_lengths(plain)
        if length > 4 * MAX_KEYS and raw.count(b":") > MAX_KEYS:
            _check_key_counts(plain)


def check_utf8(raw: bytes) -> None:
    """Raise Refused unless the bytes are strict UTF-8 without a byte order mark."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidMessage("invalid_json", "JSON has no byte order mark")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage("invalid_utf8", f"byte {error.start} is not UTF-8") from None


def _trimmed(data: bytes, start: int, end: int) -> tuple[int, int]:
    while start < end and data[start] in WHITESPACE:
        start += 1
    while end > start and data[end - 1] in WHITESPACE:
        end -= 1
    return start, end


def _without_escapes(raw: bytes) -> bytes:
    """Return the text with every quote in it one that opens or closes, and at the same place."""
    if b"\\" not in raw:
        return raw
    return raw.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _outside_strings(plain: bytes) -> bytes:
    return b'"'.join(plain.split(b'"')[::2])


def _check_depth(plain: bytes) -> None:
    brackets = _outside_strings(plain).translate(_TO_BRACES, _ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round takes the innermost level away
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return
    raise InvalidMessage("too_deep", f"JSON may be nested at most {MAX_DEPTH} deep")


def _check_key_lengths(plain: bytes) -> None:
    """Look at stretches without a quote: a key that is too long has one of half its length."""
    at, stretch = 0, MAX_KEY_BYTES // 2
    while (end := plain.find(b'"', at)) >= 0:
        if end < at + stretch:
            at += stretch
            continue
        start = plain.rfind(b'"', 0, at)
        opens = plain.count(b'"', 0, start + 1) % 2 == 1
        if end - start - 1 > MAX_KEY_BYTES and opens and _COLON.match(plain, end + 1):
            raise InvalidMessage("key_too_long", f"a key has at most {MAX_KEY_BYTES} bytes")
        at = end + 1


def _check_key_counts(plain: bytes) -> None:
    counts = [0]
    for token in re.findall(rb"[{}:]", _outside_strings(plain)):
        if token == b"{":
            counts.append(0)
        elif token == b":":
            counts[-1] += 1
            if counts[-1] > MAX_KEYS:
                raise InvalidMessage("too_many_keys", f"an object has at most {MAX_KEYS} keys")
        elif len(counts) > 1:
            counts.pop()
