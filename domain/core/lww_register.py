"""Last-writer-wins registers: the latest word counts, in whatever order words arrive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

MOST = 1_000
"""Entries kept in one map of a profile: those in `FIRST`, then the first in the order of their text.

Of a union, that is the first of what was kept of its parts, so it does not depend on order either.
"""

FIRST = frozenset(
    (
        *("name", "firstName", "first_name", "firstname", "lastName", "last_name", "lastname"),
        *("email", "phone", "facebook", "facebook_id", "facebookId", "tags"),
    )
)
"""Traits that profiles show in a place of their own: none of the others can crowd them out."""

NULL = b"null"
"""What unsets a value.  It is kept, for it still wins over what was said before."""


class Register(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """What was said last, when, and by which event; the event's id decides between equal times."""

    at: datetime
    by: bytes
    value: bytes = b""
    """JSON as it was written, numbers digit for digit."""


Registers = dict[str, Register]

_Value = TypeVar("_Value")


def put(registers: Registers, key: str, said: Register) -> None:
    """Take a word in, unless a later one is known."""
    known = registers.get(key)
    if known is None or known < said:
        registers[key] = said
        if known is None:
            limit(registers)


def limit(entries: dict[str, _Value]) -> None:
    """Drop what is beyond the limit."""
    while len(entries) > MOST:
        del entries[max(entries, key=_place)]


def _place(key: str) -> tuple[bool, str]:
    return key not in FIRST, key


def latest(one: Register | None, other: Register | None) -> Register | None:
    """Return the later of two words, either of which may be missing."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def join(sides: Iterable[tuple[Mapping[str, Register], datetime | None]]) -> Registers:
    """Return the word that counts for each key.

    A side with an instant is demoted: what it said by then only fills the gaps of the others.  No
    word is a gap, and so is ``null`` if it was said by then.
    """
    words: dict[str, list[tuple[Register, datetime | None]]] = {}
    for registers, demoted in sides:
        for key, register in registers.items():
            words.setdefault(key, []).append((register, demoted))
    joined = {key: _winner(words[key]) for key in words}
    limit(joined)
    return joined


def _winner(words: list[tuple[Register, datetime | None]]) -> Register:
    weak = [(it, until) for it, until in words if until is not None and it.at <= until]
    if not weak:
        return max(it for it, _ in words)
    best = max((it for it, until in words if until is None or it.at > until), default=None)
    if best is not None and best.value != NULL:
        return best
    fillers = [it for it, until in weak if it.value != NULL and (best is None or best.at <= until)]
    return max(fillers, default=best or max(it for it, _ in weak))
