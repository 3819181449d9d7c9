"""The key by which a decision is recognised that is sent again."""

from __future__ import annotations

from starlette.requests import Request

from domain.core.errors import InvalidRequest

OPENAPI_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again records nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
"""How a route that takes one says so in OpenAPI."""


def idempotency_key(request: Request) -> str | None:
    """Return the key of a request, if it has one.  Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        raise InvalidRequest("an Idempotency-Key has 1 to 200 printable ASCII characters")
    return key
