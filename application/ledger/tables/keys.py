"""API keys: ``cdp_live_{kind}_{id}_{secret}_{crc}``, of which only a hash of the secret is stored.

The secret has 256 bits, so one SHA-256 is enough (OWASP ASVS 5.0, 6.5.2) and a slow hash would only
be a way to overload the server.  The checksum lets a mistyped key be refused without a look-up.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
import zlib
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple, get_args

from application.ledger.store import LedgerDatastore
from domain.core.errors import InvalidRequest, NotFound

KeyKind = Literal["write", "read", "admin"]
KEY_KINDS: tuple[KeyKind, ...] = get_args(KeyKind)

CACHE_SECONDS = 5.0
"""How long a key is taken for good without asking again: a revoked key works no longer than this."""

_BASE62 = string.digits + string.ascii_letters
_SECRET_CHARACTERS = 43
_MAX_CACHED_KEYS = 10_000

_CREATE = "INSERT INTO ledger.api_key (id, workspace, kind, hash) VALUES (%s, %s, %s, %s)"
_FIND = """
SELECT workspace, kind, hash FROM ledger.api_key
WHERE id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""
_LIST = """
SELECT id, workspace, kind, created_at, expires_at, revoked_at FROM ledger.api_key
WHERE workspace = %s ORDER BY created_at, id
"""
_REVOKE = """
UPDATE ledger.api_key SET revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE workspace = %s AND id = %s
"""


class ApiKey(NamedTuple):
    """Whom a request speaks for, and what it may do."""

    id: str
    workspace: int
    kind: KeyKind


class CreatedKey(NamedTuple):
    """A key that was just made; its text is shown this once."""

    id: str
    workspace: int
    kind: KeyKind
    text: str


class KeyRow(NamedTuple):
    """What is known of a key afterwards."""

    id: str
    workspace: int
    kind: KeyKind
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeys:
    """Makes, lists, revokes and recognises keys."""

    def __init__(self, store: LedgerDatastore) -> None:
        self._store = store
        self._cache: dict[bytes, tuple[float, ApiKey | None]] = {}
        self._lock = threading.Lock()

    def create(self, workspace: int, kind: str) -> CreatedKey:
        """Make a key of a kind (write, read or admin) and return its text, this once."""
        if kind not in KEY_KINDS:
            raise InvalidRequest(f"a key's kind is one of {', '.join(KEY_KINDS)}", kind=kind)
        key_id = _random(12)
        secret = _random(_SECRET_CHARACTERS)
        body = f"cdp_live_{kind}_{key_id}_{secret}"
        with self._store.connection() as connection:
            connection.execute(_CREATE, (key_id, workspace, kind, _hash(secret)))
        return CreatedKey(key_id, workspace, kind, f"{body}_{_checksum(body)}")

    def list(self, workspace: int) -> Sequence[KeyRow]:
        """Return a workspace's keys, oldest first, revoked ones too."""
        with self._store.connection() as connection:
            return [KeyRow(*row) for row in connection.execute(_LIST, (workspace,)).fetchall()]

    def revoke(self, workspace: int, key_id: str) -> None:
        """Make a key useless within five seconds, here and in other processes."""
        with self._store.connection() as connection:
            found = connection.execute(_REVOKE, (workspace, key_id)).rowcount
        with self._lock:
            self._cache.clear()
        if not found:
            raise NotFound(f"there is no key {key_id} in this workspace", id=key_id)

    def cached(self, text: str) -> tuple[bool, ApiKey | None]:
        """Return (whether the answer is known without asking the database, the answer)."""
        parsed = parse_key(text)
        if parsed is None:
            return True, None
        remembered = self._cache.get(_hash(text))
        if remembered is None or remembered[0] < time.monotonic():
            return False, None
        return True, remembered[1]

    def authenticate(self, text: str) -> ApiKey | None:
        """Return the key that the text is, or None if it is not, or no longer, one of ours."""
        known, key = self.cached(text)
        if known:
            return key
        key_id, secret = parse_key(text) or ("", "")
        with self._store.connection() as connection:
            row = connection.execute(_FIND, (key_id,)).fetchone()
        if row is not None and compare_digest(bytes(row[2]), _hash(secret)):
            key = ApiKey(key_id, row[0], row[1])
        with self._lock:
            if len(self._cache) > _MAX_CACHED_KEYS:
                self._cache.clear()
            self._cache[_hash(text)] = (time.monotonic() + CACHE_SECONDS, key)
        return key


def parse_key(text: str) -> tuple[str, str] | None:
    """Return (id, secret) of a well-formed key, or None."""
    body, _, checksum = text.rpartition("_")
    parts = body.split("_")
    if len(parts) != 5 or parts[:2] != ["cdp", "live"] or not text.isascii():
        return None
    _, _, _, key_id, secret = parts
    if not (key_id.isalnum() and secret.isalnum() and len(secret) == _SECRET_CHARACTERS):
        return None
    return (key_id, secret) if checksum == _checksum(body) else None


def _random(characters: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(characters))


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    value, digits = zlib.crc32(text.encode()), []
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
