"""Which events a condition looks at: those of one name, or all whose names match a pattern."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from domain.core.errors import InvalidRequest

MAX_PATTERN_LENGTH = 1_000
"""Most characters of a pattern."""


class EventNamePattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    r"""A pattern of event names: terms, read from the left to the right.

    - The first term says which names match; ``+`` before a term adds the names that it matches, and ``|``
      before a term takes them away: ``Order*+Cart*|*test`` is all orders and carts but for the tests.
    - ``*`` in a term stands for any characters, also none; every other character for itself, in its case.
    - ``\`` before a character, these four and blanks included, makes it stand for itself: ``50\* off``.
    - Blanks around a term are left out.  No term is empty, and no pattern ends with a lone ``\``.

    A plain text instead of a pattern is one name, in which all characters stand for themselves.
    """

    matching: str

    def __post_init__(self) -> None:
        _terms(self.matching)

    def matches(self, name: str) -> bool:
        """Say whether an event's name matches."""
        held = False
        for term in _terms(self.matching):
            if held != term.adds and term.matches(name):
                held = term.adds
        return held


EventName = str | EventNamePattern
"""One name, or a pattern of names."""


def compile_event_name(event_name: EventName) -> Callable[[str], bool]:
    """Return the test of an event's name."""
    return event_name.matches if isinstance(event_name, EventNamePattern) else event_name.__eq__


class _Term(NamedTuple):
    adds: bool
    pieces: tuple[str, ...]
    """What stands between the stars."""

    def matches(self, name: str) -> bool:
        first, *middle = self.pieces
        if not middle:
            return name == first
        last = middle.pop()
        if not name.startswith(first):
            return False
        at = len(first)
        for piece in middle:  # each as early as it can be: no other choice leaves more
            found = name.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(name) - at >= len(last) and name.endswith(last)


_STAR, _PLUS, _MINUS, _BLANK = object(), object(), object(), object()
_SPECIAL = {"*": _STAR, "+": _PLUS, "|": _MINUS, " ": _BLANK}


@lru_cache(maxsize=1024)
def _terms(pattern: str) -> tuple[_Term, ...]:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidRequest(
            f"a pattern of event names has at most {MAX_PATTERN_LENGTH} characters"
        )
    found: list[_Term] = []
    adds, tokens = True, list[object]()
    for token in [*_tokens(pattern), _PLUS]:  # the last term ends as if another followed
        if token not in (_PLUS, _MINUS):
            tokens.append(token)
            continue
        found.append(_Term(adds, _pieces(tokens, pattern)))
        adds, tokens = token is _PLUS, []
    return tuple(found)


def _tokens(pattern: str) -> list[object]:
    tokens: list[object] = []
    characters = iter(pattern)
    for each in characters:
        if each != "\\":
            tokens.append(_SPECIAL.get(each, each))
            continue
        literal = next(characters, None)
        if literal is None:
            raise InvalidRequest(
                rf"the pattern {pattern!r} ends with a lone \; write \\ for the character itself"
            )
        tokens.append(literal)
    return tokens


def _pieces(tokens: list[object], pattern: str) -> tuple[str, ...]:
    while tokens and tokens[0] is _BLANK:
        tokens.pop(0)
    while tokens and tokens[-1] is _BLANK:
        tokens.pop()
    if not tokens:
        raise InvalidRequest(
            rf"the pattern {pattern!r} has an empty term; write \+ and \| for the characters"
            " themselves, and * for every name"
        )
    pieces = [""]
    for token in tokens:
        if token is _STAR:
            pieces.append("")
        else:
            pieces[-1] += " " if token is _BLANK else str(token)
    return tuple(pieces)
