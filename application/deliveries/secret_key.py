"""The key that encrypts endpoint secrets, as text in a setting or a file."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode

KEY_BYTES = 32


def parse_secret_key(text: str) -> bytes | None:
    """Decodes a key from base64; None for an empty text.  Raises ValueError."""
    if not text:
        return None
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"has to be {KEY_BYTES} random bytes in base64, as printed by `openssl rand -base64 32`"
        )
    return key


def generate_secret_key() -> str:
    """Returns a new random key in base64."""
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode()
