"""Extracts the write key from a request, in every form that SDKs send it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qs


def key_in_header(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key of an Authorization header: ``Basic key:``, ``Basic key``, ``Bearer key``."""
    return _key_in_authorization(headers.get(b"authorization", b""))


def key_in_query(query_string: bytes) -> str | None:
    """Return ``?writeKey=``: a browser beacon can send neither headers nor credentials."""
    if b"writeKey=" not in query_string:
        return None
    return parse_qs(query_string.decode("latin-1")).get("writeKey", [None])[0]


@lru_cache(maxsize=1024)
def _key_in_authorization(authorization: bytes) -> str | None:
    scheme, _, credentials = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"basic":
            try:
                user, _, _ = b64decode(credentials.strip(), validate=True).partition(b":")
            except binascii.Error:
                return None
            return user.decode("latin-1") or None
        case b"bearer":
            return credentials.strip().decode("latin-1") or None
        case _:
            return None
