"""One request to an endpoint: signed by Standard Webhooks, limited in time, and what came of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic
from typing import NamedTuple

from httpcore2 import (
    URL,
    AsyncHTTPConnection,
    NetworkError,
    Origin,
    ProtocolError,
    Request,
    Response,
    TimeoutException,
    default_ssl_context,
)
from standardwebhooks.webhooks import Webhook

from application.deliveries.addresses import AddressGuard, Target
from application.deliveries.transport import GuardedBackend
from domain.core.errors import InvalidRequest
from domain.delivery.retry_policy import parse_retry_after

TOTAL_SECONDS = 15.0
STORED_BODY_BYTES = 1_000
"""Bytes of a reply that are kept for people to look at."""

IDLE_SECONDS = 5.0
"""For how long a connection is kept for the endpoint's next delivery."""

RESERVED_HEADERS = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "proxy-authorization", "user-agent"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    )
)
"""Headers that nobody else sets."""


@cache
def _default_tls_context() -> ssl.SSLContext:
    """Return what certificates are checked by: read once, for it takes a while."""
    return default_ssl_context()


class WebhookResponse(NamedTuple):
    """What came of one request."""

    status: int | None = None
    """None: no answer came."""

    error: str | None = None
    body: bytes = b""
    """The first of it, as it came."""

    retry_after: timedelta | None = None
    """How long the receiver asked to wait until it is tried again."""

    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the receiver said that it has it.  The status says so, whatever follows it."""
        return self.status is not None and 200 <= self.status < 300


class EndpointClient:
    """One endpoint, and connections that no other endpoint uses."""

    def __init__(
        self, url: str, concurrency: int, guard: AddressGuard, tls: ssl.SSLContext | None = None
    ) -> None:
        self.url, self.concurrency = url, concurrency
        self._refusal: str | None = None
        try:
            self._target = guard.check_url(url)
        except InvalidRequest as error:  # what is allowed has changed since it was saved
            self._refusal = str(error)
            return
        self._backend, self._tls = (
            GuardedBackend(guard, self._target),
            tls or _default_tls_context(),
        )
        self._idle: list[AsyncHTTPConnection] = []

    async def send(
        self, message_id: str, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]
    ) -> WebhookResponse:
        """Send one body, signed with each of the secrets.  Never fails: the reply says what happened."""
        if self._refusal is not None:
            return WebhookResponse(error=self._refusal)
        began = monotonic()
        try:
            request = _signed_request(self._target, message_id, body, headers, secrets)
            reply = await self._exchange(request)
        except TimeoutError:
            reply = WebhookResponse(error=f"no answer within {TOTAL_SECONDS:g} seconds")
        except (NetworkError, ProtocolError, TimeoutException, OSError, ValueError) as error:
            reply = WebhookResponse(error=f"{type(error).__name__}: {error}"[:STORED_BODY_BYTES])
        return reply._replace(seconds=monotonic() - began)

    async def close(self) -> None:
        """Close the connections."""
        if self._refusal is None:
            while self._idle:
                await self._idle.pop().aclose()

    async def _connection(self) -> AsyncHTTPConnection:
        """Return a connection that nobody uses.  A pool would look at all of them each time."""
        while self._idle:
            known = self._idle.pop()
            if known.is_available() and not known.has_expired():
                return known
            await known.aclose()
        origin = Origin(self._target.scheme.encode(), self._target.host.encode(), self._target.port)
        return AsyncHTTPConnection(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def _exchange(self, request: Request) -> WebhookResponse:
        status, retry_after, body = None, None, b""
        connection = await self._connection()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                response = await connection.handle_async_request(request)
                status, retry_after = response.status, _retry_after(response)
                body = await _read_body_prefix(response)
                await response.aclose()
        except (TimeoutError, NetworkError, ProtocolError, TimeoutException):
            if status is None:
                raise
        finally:
            if connection.is_available():
                self._idle.append(connection)
            else:
                await connection.aclose()
        return WebhookResponse(status, None, body, retry_after)


def signature_header(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> str:
    """Return the signature header; ``at`` in UTC, for the library reads any other zone wrong."""
    text = body.decode()
    return " ".join(Webhook(it).sign(message_id, at, text) for it in secrets)


def _signed_request(
    target: Target,
    message_id: str,
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
) -> Request:
    at = datetime.now(UTC)  # the time of this attempt, by the one clock that the receiver shares
    all_headers = {
        "Host": target.authority,
        "Content-Type": "application/json",
        "User-Agent": "Foldline",
        **{name: value for name, value in headers.items() if name.lower() not in RESERVED_HEADERS},
        "Content-Length": str(len(body)),
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature_header(secrets, message_id, at, body),
    }
    return Request(
        "POST",
        URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        ),
        headers=[(name.encode(), value.encode()) for name, value in all_headers.items()],
        content=body,
    )


def _retry_after(response: Response) -> timedelta | None:
    for name, value in response.headers:
        if name.lower() == b"retry-after" and not 200 <= response.status < 300:
            return parse_retry_after(value.decode("latin-1"), datetime.now(UTC))
    return None


async def _read_body_prefix(response: Response) -> bytes:
    """Read the reply to its end, or as far as it is read; return what of it is kept."""
    held = bytearray()
    assert isinstance(response.stream, AsyncIterable)
    with suppress(NetworkError, ProtocolError, TimeoutException):  # its status has been said
        async for chunk in response.stream:
            held += chunk[: STORED_BODY_BYTES - len(held)]
    return bytes(held)
