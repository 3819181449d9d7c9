"""Last-writer-wins registers: the latest word counts, in whatever order words arrive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

MAX_ENTRIES = 1_000
"""Entries kept in one map of a profile: those in `FIRST`, then the first in the order of their text.

Of a union, that is the first of what was kept of its parts, so it does not depend on order either.
"""

PRIORITY_KEYS = frozenset(
    (
        *("name", "firstName", "first_name", "firstname", "lastName", "last_name", "lastname"),
        *("email", "phone", "facebook", "facebook_id", "facebookId", "tags"),
    )
)
"""Traits that profiles show in a place of their own: none of the others can crowd them out."""

JSON_NULL = b"null"
"""What unsets a value.  It is kept, for it still wins over what was said before."""


class Register(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """What was said last, when, and by which event; the event's id decides between equal times."""

    at: datetime
    event_id: bytes
    value: bytes = b""
    """JSON as it was written, numbers digit for digit."""


Registers = dict[str, Register]

_Value = TypeVar("_Value")


def put(registers: Registers, key: str, register: Register) -> None:
    """Take a word in, unless a later one is known."""
    known = registers.get(key)
    if known is None or known < register:
        registers[key] = register
        if known is None:
            enforce_limit(registers)


def enforce_limit(entries: dict[str, _Value]) -> None:
    """Drop what is beyond the limit."""
    while len(entries) > MAX_ENTRIES:
        del entries[max(entries, key=_priority)]


def _priority(key: str) -> tuple[bool, str]:
    return key not in PRIORITY_KEYS, key


def latest(one: Register | None, other: Register | None) -> Register | None:
    """Return the later of two words, either of which may be missing."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def merge_registers(
    partials: Iterable[tuple[Mapping[str, Register], datetime | None]],
) -> Registers:
    """Return the word that counts for each key.

    A side with an instant is demoted: what it said by then only fills the gaps of the others.  No
    word is a gap, and so is ``null`` if it was said by then.
    """
    words: dict[str, list[tuple[Register, datetime | None]]] = {}
    for registers, demoted in partials:
        for key, register in registers.items():
            words.setdefault(key, []).append((register, demoted))
    joined = {key: _winner(words[key]) for key in words}
    enforce_limit(joined)
    return joined


def _winner(words: list[tuple[Register, datetime | None]]) -> Register:
    weak = [(it, until) for it, until in words if until is not None and it.at <= until]
    if not weak:
        return max(it for it, _ in words)
    best = max((it for it, until in words if until is None or it.at > until), default=None)
    if best is not None and best.value != JSON_NULL:
        return best
    fillers = [
        it for it, until in weak if it.value != JSON_NULL and (best is None or best.at <= until)
    ]
    return max(fillers, default=best or max(it for it, _ in weak))
