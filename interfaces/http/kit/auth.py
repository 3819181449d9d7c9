"""Key authentication of the native API: ``Authorization: Bearer KEY``, checked by kind."""

from __future__ import annotations

from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from application.ledger.tables.keys import ApiKey, ApiKeys, CacheMiss, KeyKind
from domain.core.errors import Forbidden, Unauthorized


def require_key(keys: ApiKeys, *kinds: KeyKind) -> HTTPBearer:
    """Build the FastAPI dependency that accepts only keys of these kinds.

    The dependency raises Unauthorized without a valid key and Forbidden for a key of another kind.
    """
    return _KeyBearer(keys, kinds)


class _KeyBearer(HTTPBearer):
    """Security scheme and key check in one, so that each request resolves a single dependency."""

    def __init__(self, keys: ApiKeys, kinds: tuple[KeyKind, ...]) -> None:
        super().__init__(
            scheme_name="key",
            description="A workspace key; create one with `foldline keys create`.",
        )
        self._keys, self._kinds = keys, kinds

    async def __call__(self, request: HTTPConnection) -> None:
        scheme, text = get_authorization_scheme_param(request.headers.get("Authorization"))
        key = await _authenticate(self._keys, text if scheme.lower() == "bearer" else "")
        if key is None:
            # The same answer for a missing, mistyped, unknown and revoked key: it confirms no guess.
            raise Unauthorized(
                "missing or invalid key: send `Authorization: Bearer KEY`;"
                " create one with `foldline keys create`"
            )
        if key.kind not in self._kinds:
            raise Forbidden(
                f"a {key.kind} key is not allowed here;"
                f" use a key of kind {' or '.join(self._kinds)}",
                kind=key.kind,
                needs=self._kinds,
            )
        request.state.key = key


def authenticated_key(request: Request) -> ApiKey:
    """Return the key of a request that passed `require_key`."""
    key = request.state.key
    assert isinstance(key, ApiKey)
    return key


async def _authenticate(keys: ApiKeys, key_text: str) -> ApiKey | None:
    key = keys.cached(key_text)
    if key is CacheMiss.MISS:  # only a query is worth a thread
        return await run_in_threadpool(keys.authenticate, key_text)
    return key
