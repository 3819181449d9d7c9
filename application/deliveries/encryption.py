"""Keeps secrets unreadable to whoever has the database and not the key."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.core.errors import Conflict, FoldlineError

KEY_BYTES = 32
_NONCE_BYTES = 12


class DecryptionFailed(FoldlineError):
    """A secret was sealed with another key."""

    code = "secret_key_differs"


class SecretCipher:
    """Seals and opens with one key; each for one place, so that no row can be put in another's."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    def encrypt(self, secret: str, context: str) -> bytes:
        """Return what may be stored.  Raises Conflict without a key."""
        if self._cipher is None:
            raise Conflict(
                "secrets of endpoints are kept encrypted: set FOLDLINE_SECRET_KEY to 32 random bytes"
                " in base64 (`openssl rand -base64 32`), the same for every process, and start again"
            )
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), context.encode())

    def decrypt(self, ciphertext: bytes, context: str) -> str:
        """Return what was sealed.  Raises CannotOpen."""
        try:
            if self._cipher is not None:
                nonce, rest = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
                return self._cipher.decrypt(nonce, rest, context.encode()).decode()
        except InvalidTag:
            pass
        raise DecryptionFailed(
            "the endpoint's secret cannot be opened: FOLDLINE_SECRET_KEY is not the one that it was"
            " sealed with; set that again, or rotate the secret"
        )


def parse_secret_key(text: str) -> bytes | None:
    """Return the key that a text spells in base64; None of an empty one.  Raises ValueError."""
    if not text:
        return None
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{KEY_BYTES} random bytes in base64, as `openssl rand -base64 32` prints")
    return key


def generate_secret_key() -> str:
    """Return a new key, spelled in base64."""
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode()
