"""API keys: ``cdp_live_{kind}_{id}_{secret}_{crc}``; only a hash of the secret is stored.

The secret has 256 bits, so one SHA-256 is enough (OWASP ASVS 5.0, 6.5.2); a slow hash would only be a
way to overload the server.  The checksum rejects a mistyped key without a query.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
import zlib
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple, get_args

from application.ledger.session import Connections
from domain.core.errors import InvalidRequest, NotFound

KeyKind = Literal["write", "read", "admin"]
KEY_KINDS: tuple[KeyKind, ...] = get_args(KeyKind)

CACHE_SECONDS = 5.0
"""How long the result for a key is cached: a revoked key works no longer than this."""

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
    """An authenticated key: its workspace, and what it permits."""

    id: str
    workspace: int
    kind: KeyKind


class CreatedKey(NamedTuple):
    """A key that was just created; its text cannot be shown again."""

    id: str
    workspace: int
    kind: KeyKind
    text: str


class KeyRow(NamedTuple):
    """A stored key, without its secret."""

    id: str
    workspace: int
    kind: KeyKind
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CacheMiss(Enum):
    """The cache holds no current result for a key."""

    MISS = "miss"


class ApiKeys:
    """Creates, lists, revokes and authenticates keys."""

    def __init__(self, store: Connections) -> None:
        self._store = store
        self._cache: dict[bytes, tuple[float, ApiKey | None]] = {}
        self._lock = threading.Lock()

    def create(self, workspace: int, kind: str) -> CreatedKey:
        """Creates a key of a kind (write, read or admin) and returns it with its text."""
        if kind not in KEY_KINDS:
            raise InvalidRequest(f"a key's kind must be one of {', '.join(KEY_KINDS)}", kind=kind)
        key_id = _random(12)
        secret = _random(_SECRET_CHARACTERS)
        body = f"cdp_live_{kind}_{key_id}_{secret}"
        with self._store.connection() as connection:
            connection.execute(_CREATE, (key_id, workspace, kind, _hash(secret)))
        return CreatedKey(key_id, workspace, kind, f"{body}_{_checksum(body)}")

    def list(self, workspace: int) -> Sequence[KeyRow]:
        """Returns a workspace's keys, oldest first, revoked ones included."""
        with self._store.connection() as connection:
            return [KeyRow(*row) for row in connection.execute(_LIST, (workspace,)).fetchall()]

    def revoke(self, workspace: int, key_id: str) -> None:
        """Revokes a key; other processes accept it for up to `CACHE_SECONDS`.  Raises NotFound."""
        with self._store.connection() as connection:
            revoked = connection.execute(_REVOKE, (workspace, key_id)).rowcount
        with self._lock:
            self._cache.clear()
        if not revoked:
            raise NotFound(f"key {key_id} does not exist in this workspace", id=key_id)

    def cached(self, text: str) -> ApiKey | CacheMiss | None:
        """Returns what `authenticate` would, without a query; CacheMiss.MISS if that takes one."""
        parsed = parse_key(text)
        if parsed is None:
            return None
        entry = self._cache.get(_hash(text))
        if entry is None or entry[0] < time.monotonic():
            return CacheMiss.MISS
        return entry[1]

    def authenticate(self, text: str) -> ApiKey | None:
        """Returns the key of a text; None if it is unknown, expired or revoked."""
        cached = self.cached(text)
        if cached is not CacheMiss.MISS:
            return cached
        key: ApiKey | None = None
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
    """Returns ``(id, secret)`` of a well-formed key; None if the text is not one."""
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
