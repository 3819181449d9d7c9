"""Event names and patterns of event names: which events a condition reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.core.errors import InvalidRequest

MAX_PATTERN_LENGTH = 1_000
"""Most characters of a pattern."""


class EventNamePattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    r"""A pattern of event names: terms that are applied from left to right.

    - The first term selects the names that it matches; ``+`` before a term adds the names that it matches,
      and ``|`` before a term removes them: ``Order*+Cart*|*test`` is all orders and carts but no tests.
    - ``*`` in a term matches any characters, or none; every other character matches itself, in its case.
    - ``\`` before a character, these four and blanks included, makes it match itself: ``50\* off``.
    - Blanks around a term are ignored.  No term is empty, and no pattern ends with a lone ``\``.

    A plain string instead of a pattern is one name, in which every character matches itself.
    """

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "properties": {"matching": {"minLength": 1, "maxLength": MAX_PATTERN_LENGTH}}
    }

    matching: str

    def __post_init__(self) -> None:
        _terms(self.matching)

    def matches(self, name: str) -> bool:
        """Returns whether an event's name matches."""
        selected = False
        for term in _terms(self.matching):
            if selected != term.adds and term.matches(name):
                selected = term.adds
        return selected


EventName = str | EventNamePattern
"""One event name, or a pattern of names."""


def compile_event_name(event_name: EventName) -> Callable[[str], bool]:
    """Returns the test of an event's name."""
    return event_name.matches if isinstance(event_name, EventNamePattern) else event_name.__eq__


class _Term(NamedTuple):
    adds: bool
    pieces: tuple[str, ...]
    """The texts between the stars."""

    def matches(self, name: str) -> bool:
        first, *middle = self.pieces
        if not middle:
            return name == first
        last = middle.pop()
        if not name.startswith(first):
            return False
        end = len(first)
        for piece in middle:  # each as early as possible: no other choice leaves more of the name
            start = name.find(piece, end)
            if start < 0:
                return False
            end = start + len(piece)
        return len(name) - end >= len(last) and name.endswith(last)


_STAR, _PLUS, _MINUS, _BLANK = object(), object(), object(), object()
_SPECIAL = {"*": _STAR, "+": _PLUS, "|": _MINUS, " ": _BLANK}


@lru_cache(maxsize=1024)
def _terms(pattern: str) -> tuple[_Term, ...]:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidRequest(
            f"a pattern of event names must have at most {MAX_PATTERN_LENGTH} characters"
        )
    terms: list[_Term] = []
    adds, tokens = True, list[object]()
    for token in [*_tokens(pattern), _PLUS]:  # the last term ends as if another followed
        if token not in (_PLUS, _MINUS):
            tokens.append(token)
            continue
        terms.append(_Term(adds, _pieces(tokens, pattern)))
        adds, tokens = token is _PLUS, []
    return tuple(terms)


def _tokens(pattern: str) -> list[object]:
    tokens: list[object] = []
    characters = iter(pattern)
    for character in characters:
        if character != "\\":
            tokens.append(_SPECIAL.get(character, character))
            continue
        literal = next(characters, None)
        if literal is None:
            raise InvalidRequest(
                rf"the pattern {pattern!r} ends with a lone \; use \\ for the character itself"
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
            rf"the pattern {pattern!r} has an empty term; use \+ and \| for the characters"
            " themselves, and * for every name"
        )
    pieces = [""]
    for token in tokens:
        if token is _STAR:
            pieces.append("")
        else:
            pieces[-1] += " " if token is _BLANK else str(token)
    return tuple(pieces)
