"""Encryption of endpoint secrets: a copy of the database is useless without the key."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.core.errors import Conflict, FoldlineError

_NONCE_BYTES = 12


class DecryptionFailed(FoldlineError):
    """A secret was encrypted with another key."""

    code = "secret_key_differs"


class SecretCipher:
    """AES-GCM cipher with one key; the context binds a ciphertext to its row.

    A ciphertext that is copied to another row does not decrypt there.
    """

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    def encrypt(self, secret: str, context: str) -> bytes:
        """Returns nonce and ciphertext, to be stored.  Raises Conflict if no key is configured."""
        if self._cipher is None:
            raise Conflict(
                "endpoint secrets are stored encrypted, and no key is set: set FOLDLINE_SECRET_KEY to 32"
                " random bytes in base64 (`openssl rand -base64 32`), the same for every process, and"
                " restart"
            )
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), context.encode())

    def decrypt(self, ciphertext: bytes, context: str) -> str:
        """Returns the secret.  Raises DecryptionFailed for another key or another context."""
        try:
            if self._cipher is not None:
                nonce, encrypted = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
                return self._cipher.decrypt(nonce, encrypted, context.encode()).decode()
        except InvalidTag:
            pass
        raise DecryptionFailed(
            "the endpoint's secret cannot be decrypted: FOLDLINE_SECRET_KEY is not the key that it was"
            " encrypted with; set that key again, or rotate the secret"
        )
