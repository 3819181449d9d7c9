"""Idempotency-Key header: a repeated command is recognised and recorded once."""

from __future__ import annotations

from starlette.requests import Request

from domain.core.errors import InvalidRequest

OPENAPI_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeating a request with the same key records nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
"""OpenAPI parameter of a route that accepts the header."""


def idempotency_key(request: Request) -> str | None:
    """Return the request's Idempotency-Key, or None.  Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        raise InvalidRequest("Idempotency-Key must be 1 to 200 printable ASCII characters")
    return key
