"""Who asks: ``Authorization: Bearer KEY``, and what a key of that kind may do."""

from __future__ import annotations

from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from application.ledger.tables.keys import ApiKey, ApiKeys, KeyKind
from domain.core.errors import Forbidden, Unauthorized


def require_key(keys: ApiKeys, *kinds: KeyKind) -> HTTPBearer:
    """Return the dependency that lets only keys of these kinds pass."""
    return _KeyBearer(keys, kinds)


class _KeyBearer(HTTPBearer):
    """Is the scheme and asks the key, so that a question has one dependency to solve."""

    def __init__(self, keys: ApiKeys, kinds: tuple[KeyKind, ...]) -> None:
        super().__init__(
            scheme_name="key",
            description="A key of the workspace; `foldline keys create` makes one.",
        )
        self._keys, self._kinds = keys, kinds

    async def __call__(self, request: HTTPConnection) -> None:
        scheme, text = get_authorization_scheme_param(request.headers.get("Authorization"))
        key = await _authenticate(self._keys, text if scheme.lower() == "bearer" else "")
        if key is None:
            # One answer whether the key is missing, mistyped, unknown or revoked.
            raise Unauthorized(
                "send a valid key as `Authorization: Bearer KEY`; `foldline keys create` makes one"
            )
        if key.kind not in self._kinds:
            raise Forbidden(
                f"a {key.kind} key may not do this;"
                f" it needs a key of kind {' or '.join(self._kinds)}",
                kind=key.kind,
                needs=self._kinds,
            )
        request.state.key = key


def authenticated_key(request: Request) -> ApiKey:
    """Return the key of a request that `allow` let pass."""
    key = request.state.key
    assert isinstance(key, ApiKey)
    return key


async def _authenticate(keys: ApiKeys, key_text: str) -> ApiKey | None:
    known, key = keys.cached(key_text)
    # Only a key that has to be looked up is worth a thread.
    return key if known else await run_in_threadpool(keys.authenticate, key_text)
