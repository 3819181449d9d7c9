"""Who asks: ``Authorization: Bearer KEY``, and what a key of that kind may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from application.ledger.keys import Key, KeyKind, Keys
from domain.errors import Forbidden, Unauthorized

bearer = HTTPBearer(
    scheme_name="key",
    description="A key of the workspace; `foldline keys create` makes one.",
    auto_error=False,
)

Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]


def allow(keys: Keys, *kinds: KeyKind) -> Callable[..., Awaitable[None]]:
    """Return the dependency that lets only keys of these kinds pass."""

    async def authenticate(request: Request, credentials: Credentials) -> None:
        key = await _key(keys, credentials.credentials if credentials else "")
        if key is None:
            # One answer whether the key is missing, mistyped, unknown or revoked.
            raise Unauthorized(
                "send a valid key as `Authorization: Bearer KEY`; `foldline keys create` makes one"
            )
        if key.kind not in kinds:
            raise Forbidden(
                f"a {key.kind} key may not do this; it needs a key of kind {' or '.join(kinds)}",
                kind=key.kind,
                needs=kinds,
            )
        request.state.key = key

    return authenticate


def key_of(request: Request) -> Key:
    """Return the key of a request that `allow` let pass."""
    key = request.state.key
    assert isinstance(key, Key)
    return key


async def _key(keys: Keys, text: str) -> Key | None:
    known, key = keys.recognised(text)
    # Only a key that has to be looked up is worth a thread.
    return key if known else await run_in_threadpool(keys.authenticate, text)
