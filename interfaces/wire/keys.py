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
    found, value = _split_authorization(request.headers.get(b"authorization", b""))
    return value or None if found == scheme.lower() else None


def header(request: WireRequest, name: bytes) -> str | None:
    """Return the value of a header, which is named in lower case."""
    return request.headers.get(name, b"").decode("latin-1") or None


def query_parameter(request: WireRequest, name: str) -> str | None:
    """Return the first value of a parameter of the query."""
    if name.encode() + b"=" not in request.query:
        return None
    return parse_qs(request.query.decode("latin-1")).get(name, [None])[0]


@lru_cache(maxsize=1024)
def _split_authorization(header: bytes) -> tuple[str, str]:
    scheme, _, value = header.decode("latin-1").strip().partition(" ")
    return scheme.lower(), value.strip()


@lru_cache(maxsize=1024)
def _decode_basic(credentials: str) -> tuple[str, str] | None:
    try:
        user, _, password = b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    return user.decode("latin-1"), password.decode("latin-1")
