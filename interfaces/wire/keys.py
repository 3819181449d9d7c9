"""Finds the key of a request outside of its body, in the places that dialects use."""

from __future__ import annotations

import binascii
from base64 import b64decode
from functools import lru_cache
from urllib.parse import parse_qs

from interfaces.wire.contract import WireRequest


def basic_credentials(request: WireRequest) -> tuple[str, str] | None:
    """Return user name and password of ``Authorization: Basic``; a name alone has no colon."""
    credentials = authorization(request, "basic")
    return _decode_basic(credentials) if credentials else None


def authorization(request: WireRequest, scheme: str) -> str | None:
    """Return what follows the scheme in ``Authorization: SCHEME …``; None for another scheme."""
    header = request.headers.get(b"authorization", b"").decode("latin-1")
    found, _, value = header.strip().partition(" ")
    return value.strip() or None if found.lower() == scheme.lower() else None


def header(request: WireRequest, name: bytes) -> str | None:
    """Return the value of a header, which is named in lower case."""
    return request.headers.get(name, b"").decode("latin-1") or None


def query_parameter(request: WireRequest, name: str) -> str | None:
    """Return the first value of a parameter of the query."""
    if name.encode() + b"=" not in request.query:
        return None
    return parse_qs(request.query.decode("latin-1")).get(name, [None])[0]


@lru_cache(maxsize=1024)
def _decode_basic(credentials: str) -> tuple[str, str] | None:
    try:
        user, _, password = b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    return user.decode("latin-1"), password.decode("latin-1")
