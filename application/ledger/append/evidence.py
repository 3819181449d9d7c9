"""Tamper evidence: salted commitments and the leaves of an RFC 6962 tree.

``commitment = SHA256(2 ‖ salt ‖ state)`` hides the payload, so that it can be erased.
``leaf = SHA256(0 ‖ header ‖ commitment)`` covers every stored column but the position, which the
leaf's index in the tree binds.
"""

from __future__ import annotations

import os
import struct
from hashlib import sha256

SALT_BYTES = 32
_HEADER = struct.Struct(">cBIQq16sH")
_LAYOUT = 1
# Copying a prepared hasher costs less than constructing one, and avoids joining the texts.
_new_commitment_hasher = sha256(b"\x02").copy


def new_salts(count: int) -> bytes:
    """Returns ``count`` random salts of `SALT_BYTES` bytes each, concatenated."""
    return os.urandom(SALT_BYTES * count)


def commitment_of(salt: bytes, state: bytes) -> bytes:
    """Returns the 32 bytes that commit to a state without revealing it."""
    hasher = _new_commitment_hasher()
    hasher.update(salt)
    hasher.update(state)
    return hasher.digest()


def leaf_hash(  # noqa: PLR0917 - called for each event; keywords would cost a tenth of it
    workspace: int,
    stream: bytes,
    version: int,
    recorded_us: int,
    topic: bytes,
    commitment: bytes,
) -> bytes:
    """Returns the 32 bytes of an event's leaf.

    ``recorded_us`` is in microseconds since 1970-01-01 UTC.
    """
    header = _HEADER.pack(b"\0", _LAYOUT, workspace, version, recorded_us, stream, len(topic))
    return sha256(header + topic + commitment).digest()
