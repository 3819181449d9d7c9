"""What makes a touched row show: salted commitments and leaves of an RFC 6962 tree.

``commitment = SHA256(2 ‖ salt ‖ state)`` hides the payload, so that it can be erased;
``leaf = SHA256(0 ‖ header ‖ commitment)`` covers every stored column but the position, which the
leaf's place in the tree binds.
"""

from __future__ import annotations

import os
import struct
from hashlib import sha256

SALT_BYTES = 32
_HEADER = struct.Struct(">cBIQq16sH")
_LAYOUT = 1
_new_commitment_hasher = sha256(
    b"\x02"
).copy  # copied, a hasher costs less than made anew, and no text is joined


def new_salts(count: int) -> bytes:
    """Return ``count`` fresh salts, one after the other."""
    return os.urandom(SALT_BYTES * count)


def commitment_of(salt: bytes, state: bytes) -> bytes:
    """Return the 32 bytes that commit to a state without showing it."""
    hasher = _new_commitment_hasher()
    hasher.update(salt)
    hasher.update(state)
    return hasher.digest()


def leaf_hash(  # noqa: PLR0917 - called once an event; keywords would cost a tenth of it
    workspace: int,
    stream: bytes,
    version: int,
    recorded_us: int,
    topic: bytes,
    committed: bytes,
) -> bytes:
    """Return the 32 bytes of the event's leaf.

    ``recorded_us`` counts microseconds since 1970-01-01 UTC; ``committed`` is the commitment.
    """
    header = _HEADER.pack(b"\0", _LAYOUT, workspace, version, recorded_us, stream, len(topic))
    return sha256(header + topic + committed).digest()
