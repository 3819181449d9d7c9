"""What a profile is found by: its words, and their grams, of which an index can be made.

A gram is three bytes that follow one another, as a number.  A text can only be part of another if
all its grams are; so an index of grams finds the few places where it is worth looking.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState

MAX_WORD_LENGTH = 200
"""Characters of one word that it can be found by."""

_START = "\n"
"""Stands before each word, so that a search for beginnings is a search for a part, too."""

_START_BYTE = ord(_START)
_NO_BYTE = 0xFF << 16  # is in no UTF-8: marks a gram of only two bytes
_WORKSPACES = 0x7F
_SPACE = re.compile(r"[\s\0]+")
_NO_DIGIT = re.compile(r"[^0-9]+")


def search_text(state: ProfileState) -> str:
    """Return what the profile is found by: names, e-mail addresses, phone numbers, identifiers."""
    phone = profile_view.register_text(state.attributes.get("phone"))
    found = (
        profile_view.display_name(state),
        profile_view.register_text(state.attributes.get("email")),
        phone,
        phone and _NO_DIGIT.sub("", phone),
        *(it.value for it in state.identifiers),
    )
    return "".join(sorted({_START + fold_text(it)[:MAX_WORD_LENGTH] for it in found if it}))


def fold_text(text: str) -> str:
    """Return the text as it is compared: without case, however its letters are composed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.encode(errors="replace").decode())
    return _SPACE.sub(" ", text.casefold()).strip()


def search_pattern(text: str) -> str:
    """Return what to look for in the words: a folded text, or if it is short a word's beginning."""
    return text[:MAX_WORD_LENGTH] if len(text.encode()) > 2 else _START + text


def trigrams(text: str, workspace: int) -> list[int]:
    """Return the grams of words or of a pattern, as numbers that differ between workspaces."""
    salt = (workspace & _WORKSPACES) << 24
    data = text.encode()
    found = {salt | a << 16 | b << 8 | c for a, b, c in zip(data, data[1:], data[2:], strict=False)}
    starts = {salt | _NO_BYTE | a << 8 | b for a, b in pairwise(data) if a == _START_BYTE}
    return sorted(found | starts)
