"""Scans JSON that a strict parser rejects.

So one invalid message does not affect the others of its batch.  Nothing here recurses, and all functions take time
linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from interfaces.wire.base import InvalidMessage

MAX_DEPTH = 32
MAX_KEYS = 1000
"""Maximum keys of one object."""

MAX_KEY_BYTES = 512
"""Maximum bytes of one key, as written, with escapes."""

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
    """The brackets or quotes do not match, so the ends of values are unknown."""


class MemberSpan(NamedTuple):
    """Member of an object: its key as written between the quotes, and the offsets of its value."""

    key: bytes
    start: int
    end: int


def element_spans(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the start and end offsets of the elements of an array, or of an object's members.

    ``data[start:end]`` is the container; only the quotes and brackets of its elements are checked.  A missing
    element (``[1,,2]``) is an empty slice.  Raises MalformedJson.
    """
    start, end = _trimmed(data, start, len(data) if end is None else end)
    if data[start : start + 1] not in (b"{", b"["):
        raise MalformedJson("neither an object nor an array")
    spans: list[tuple[int, int]] = []
    offset = part = start + 1
    while True:
        offset = _end_of_value(data, offset, end)
        part_end = offset
        offset += 1
        if data[part_end] in b"}]":
            break
        spans.append(_trimmed(data, part, part_end))
        part = offset
    if data[part_end : part_end + 1] != _CLOSES[data[start : start + 1]]:
        raise MalformedJson("unmatched closing bracket")
    if offset != end:
        raise MalformedJson("trailing data")
    last = _trimmed(data, part, part_end)
    return [*spans, last] if spans or last[0] < last[1] else []


def _end_of_value(data: bytes, offset: int, end: int) -> int:
    """Return the offset of the comma or closing bracket that ends the value at ``offset``."""
    while True:
        skipped = _UP_TO_COMMA.match(data, offset, end)
        assert skipped is not None  # the match may be empty
        offset = skipped.end()
        character = data[offset : min(offset + 1, end)]
        if character == b"":
            raise MalformedJson("unclosed bracket")
        if character == b'"':
            raise MalformedJson("unterminated string")
        if character not in _CLOSES:
            return offset
        offset = _end_of_brackets(data, offset, end)


def _end_of_brackets(data: bytes, offset: int, end: int) -> int:
    """Return the offset after the bracket that matches the one at ``offset``."""
    closing: list[bytes] = []
    for token in _NEXT_BRACKET.finditer(data, offset, end):
        character = token[1]
        if character in _CLOSES:
            closing.append(_CLOSES[character])
        elif character == b'"':
            raise MalformedJson("unterminated string")
        elif character == b"":
            break
        elif closing.pop() != character:
            raise MalformedJson("unmatched closing bracket")
        elif not closing:
            return token.end()
    raise MalformedJson("unclosed bracket")


def members(data: bytes, start: int = 0, end: int | None = None) -> list[MemberSpan]:
    """Return the members of the object ``data[start:end]``, in order.  Raises MalformedJson."""
    spans = []
    for member_start, member_end in element_spans(data, start, end):
        key = _KEY.match(data, member_start, member_end)
        if key is None:
            raise MalformedJson("a member of an object has no key")
        spans.append(MemberSpan(key[1], key.end(), member_end))
    return spans


def lone_surrogates_as_nul(data: bytes) -> bytes:
    r"""Return JSON of the same length with each lone surrogate escape replaced by ``\u0000``.

    JavaScript clients truncate strings in the middle of an emoji.  The strict parser rejects the whole body for one
    of them; this copy is for parsing only, the original bytes are recorded.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _SURROGATES.sub(lambda match: b"\\u0000" if match["lone"] else match[0], data)


def check_shape(raw: bytes) -> None:
    """Raise InvalidMessage unless the text is UTF-8 and within the limits of depth and keys.

    A text that is not JSON may pass: the parser detects that.
    """
    if not raw.isascii():
        check_utf8(raw)
    # Counting is fast and nearly always sufficient, although it also counts inside strings.
    if len(raw.translate(None, _ALL_BUT_OPENING)) > MAX_DEPTH:
        _check_depth(_without_escapes(raw))
    length = len(raw)
    if length > MAX_KEY_BYTES:
        plain = _without_escapes(raw)
        _check_key_lengths(plain)
        if length > 4 * MAX_KEYS and raw.count(b":") > MAX_KEYS:
            _check_key_counts(plain)


def check_utf8(raw: bytes) -> None:
    """Raise InvalidMessage unless the bytes are strict UTF-8 without a byte order mark."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidMessage("invalid_json", "the JSON starts with a byte order mark; remove it")
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
    """Mask escapes, so that every quote opens or closes a string; offsets stay the same."""
    if b"\\" not in raw:
        return raw
    return raw.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _outside_strings(plain: bytes) -> bytes:
    return b'"'.join(plain.split(b'"')[::2])


def _check_depth(plain: bytes) -> None:
    brackets = _outside_strings(plain).translate(_TO_BRACES, _ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round removes the innermost level
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return
    raise InvalidMessage("too_deep", f"JSON may be nested at most {MAX_DEPTH} levels deep")


def _check_key_lengths(plain: bytes) -> None:
    """Check stretches without a quote: a key that is too long contains one of half the limit."""
    offset, stretch = 0, MAX_KEY_BYTES // 2
    while (end := plain.find(b'"', offset)) >= 0:
        if end < offset + stretch:
            offset += stretch
            continue
        start = plain.rfind(b'"', 0, offset)
        opens = plain.count(b'"', 0, start + 1) % 2 == 1
        if end - start - 1 > MAX_KEY_BYTES and opens and _COLON.match(plain, end + 1):
            raise InvalidMessage("key_too_long", f"a key has at most {MAX_KEY_BYTES} bytes")
        offset = end + 1


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
