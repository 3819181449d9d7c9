"""Last-writer-wins registers: the latest write counts, whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

MAX_ENTRIES = 1_000
"""Entries of one map of a profile: those in `PRIORITY_KEYS`, then the first by their text.

The limited union of maps equals the limited union of the limited maps, so order does not matter.
"""

PRIORITY_KEYS = frozenset(
    (
        *("name", "firstName", "first_name", "firstname", "lastName", "last_name", "lastname"),
        *("email", "phone", "facebook", "facebook_id", "facebookId", "tags"),
    )
)
"""Attributes that a profile shows in fields of their own; the other keys never displace them."""

JSON_NULL = b"null"
"""Unsets a value.  It is stored, because it must still win over earlier writes."""


class Register(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The latest write of a key, in order of time; the event's id decides between equal times."""

    at: datetime
    event_id: bytes
    value: bytes = b""
    """JSON as it was received, numbers digit for digit."""


Registers = dict[str, Register]

_Value = TypeVar("_Value")


def put(registers: Registers, key: str, register: Register) -> None:
    """Stores a write unless a later one is stored."""
    stored = registers.get(key)
    if stored is None or stored < register:
        registers[key] = register
        if stored is None:
            enforce_limit(registers)


def enforce_limit(entries: dict[str, _Value]) -> None:
    """Drops the entries beyond `MAX_ENTRIES`."""
    while len(entries) > MAX_ENTRIES:
        del entries[max(entries, key=_priority)]


def _priority(key: str) -> tuple[bool, str]:
    return key not in PRIORITY_KEYS, key


def latest(left: Register | None, right: Register | None) -> Register | None:
    """Returns the later of two writes, either of which may be missing."""
    if left is None or right is None:
        return left or right
    return max(left, right)


def merge_registers(
    partials: Iterable[tuple[Mapping[str, Register], datetime | None]],
) -> Registers:
    """Returns the winning write of each key over several maps.

    A map with an instant is demoted: its writes up to that instant only fill the gaps of the other
    maps.  A missing key is a gap, and so is a ``null`` that was written up to that instant.
    """
    writes: dict[str, list[tuple[Register, datetime | None]]] = {}
    for registers, demoted_until in partials:
        for key, register in registers.items():
            writes.setdefault(key, []).append((register, demoted_until))
    merged = {key: _winner(writes[key]) for key in writes}
    enforce_limit(merged)
    return merged


def _winner(writes: list[tuple[Register, datetime | None]]) -> Register:
    demoted = [(write, until) for write, until in writes if until is not None and write.at <= until]
    if not demoted:
        return max(write for write, _ in writes)
    best = max(
        (write for write, until in writes if until is None or write.at > until), default=None
    )
    if best is not None and best.value != JSON_NULL:
        return best
    fillers = [
        write
        for write, until in demoted
        if write.value != JSON_NULL and (best is None or best.at <= until)
    ]
    return max(fillers, default=best or max(write for write, _ in demoted))
