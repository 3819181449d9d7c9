"""Search text of a profile, and its trigrams for the index.

A trigram is three consecutive bytes, as a number.  A text can only be part of another one that has all its
trigrams, so an index of trigrams finds the few rows that are worth a comparison.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState

MAX_WORD_LENGTH = 200
"""Characters of one term that a search looks at."""

_START = "\n"
"""Precedes each term, so that a search for a beginning is a search for a part, too."""

_START_BYTE = ord(_START)
_NO_BYTE = 0xFF << 16  # never part of UTF-8: marks a trigram of only two bytes
_WORKSPACES = 0x7F
_SPACE = re.compile(r"[\s\0]+")
_NON_DIGITS = re.compile(r"[^0-9]+")


def search_text(state: ProfileState) -> str:
    """Returns the terms of a profile: names, e-mail addresses, phone numbers and identifiers."""
    phone = profile_view.register_text(state.attributes.get("phone"))
    terms = (
        profile_view.display_name(state),
        profile_view.register_text(state.attributes.get("email")),
        phone,
        phone and _NON_DIGITS.sub("", phone),
        *(identifier.value for identifier in state.identifiers),
    )
    return "".join(sorted({_START + fold_text(term)[:MAX_WORD_LENGTH] for term in terms if term}))


def fold_text(text: str) -> str:
    """Returns the text normalised for comparison: without case, its characters composed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.encode(errors="replace").decode())
    return _SPACE.sub(" ", text.casefold()).strip()


def search_pattern(text: str) -> str:
    """Returns the pattern of a folded text: a short one matches only the beginning of a term."""
    return text[:MAX_WORD_LENGTH] if len(text.encode()) > 2 else _START + text


def trigrams(text: str, workspace: int) -> list[int]:
    """Returns the trigrams of a text or pattern, as numbers that differ between workspaces."""
    salt = (workspace & _WORKSPACES) << 24
    data = text.encode()
    inner = {salt | a << 16 | b << 8 | c for a, b, c in zip(data, data[1:], data[2:], strict=False)}
    starts = {salt | _NO_BYTE | a << 8 | b for a, b in pairwise(data) if a == _START_BYTE}
    return sorted(inner | starts)
