"""Conversion of 16 bytes to a UUID without the checks of the standard library."""

from __future__ import annotations

from uuid import UUID, SafeUUID

_set_int, _set_safety = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def uuid_from_bytes(value: bytes) -> UUID:
    """Returns ``UUID(bytes=value)``; the value must have 16 bytes, which is not checked.

    The constructor with its checks takes more than twice as long (tests/benchmarks/test_fast_uuid.py),
    and each recorded message needs a UUID.
    """
    uuid = object.__new__(UUID)
    _set_int(uuid, int.from_bytes(value))
    _set_safety(uuid, _UNKNOWN)
    return uuid
