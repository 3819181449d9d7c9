"""HTTP client of one endpoint: requests signed by Standard Webhooks, limited in time."""

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
"""Time limit of one request, from connecting to the end of the response."""

STORED_BODY_BYTES = 1_000
"""Bytes of a response that are stored with the attempt."""

IDLE_SECONDS = 5.0
"""Time for which an idle connection is kept open."""

RESERVED_HEADERS = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "proxy-authorization", "user-agent"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    )
)
"""Headers that an action cannot set."""


@cache
def _default_tls_context() -> ssl.SSLContext:
    """Returns the system's trusted certificates; loaded once because it is slow."""
    return default_ssl_context()


class WebhookResponse(NamedTuple):
    """Result of one request: a response, or the error."""

    status: int | None = None
    """None: no response."""

    error: str | None = None
    body: bytes = b""
    """The first `STORED_BODY_BYTES`."""

    retry_after: timedelta | None = None
    """The receiver's Retry-After, within bounds."""

    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx; what follows the status does not matter."""
        return self.status is not None and 200 <= self.status < 300


class EndpointClient:
    """Sends requests to one endpoint, over connections of its own."""

    def __init__(
        self, url: str, concurrency: int, guard: AddressGuard, tls: ssl.SSLContext | None = None
    ) -> None:
        self.url, self.concurrency = url, concurrency
        self._refusal: str | None = None
        try:
            self._target = guard.check_url(url)
        except InvalidRequest as error:  # the allowed networks have changed since it was saved
            self._refusal = str(error)
            return
        self._backend = GuardedBackend(guard, self._target)
        self._tls = tls or _default_tls_context()
        self._idle: list[AsyncHTTPConnection] = []

    async def send(
        self, message_id: str, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]
    ) -> WebhookResponse:
        """Sends one body, signed with each secret.  Never raises: failures are in the response."""
        if self._refusal is not None:
            return WebhookResponse(error=self._refusal)
        began = monotonic()
        try:
            request = _signed_request(self._target, message_id, body, headers, secrets)
            response = await self._exchange(request)
        except TimeoutError:
            response = WebhookResponse(error=f"no answer within {TOTAL_SECONDS:g} seconds")
        except (NetworkError, ProtocolError, TimeoutException, OSError, ValueError) as error:
            response = WebhookResponse(error=f"{type(error).__name__}: {error}"[:STORED_BODY_BYTES])
        return response._replace(seconds=monotonic() - began)

    async def close(self) -> None:
        """Closes the idle connections."""
        if self._refusal is None:
            while self._idle:
                await self._idle.pop().aclose()

    async def _connection(self) -> AsyncHTTPConnection:
        """Returns an idle or new connection.  httpcore's pool would check all of them each time."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
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


def signature_header(
    secrets: Sequence[str], message_id: str, signed_at: datetime, body: bytes
) -> str:
    """Returns the signature header; ``signed_at`` is in UTC, the library misreads other zones."""
    text = body.decode()
    return " ".join(Webhook(secret).sign(message_id, signed_at, text) for secret in secrets)


def _signed_request(
    target: Target,
    message_id: str,
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
) -> Request:
    sent_at = datetime.now(UTC)  # of this attempt, by the real clock, which the receiver shares
    all_headers = {
        "Host": target.authority,
        "Content-Type": "application/json",
        "User-Agent": "Foldline",
        **{name: value for name, value in headers.items() if name.lower() not in RESERVED_HEADERS},
        "Content-Length": str(len(body)),
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signature_header(secrets, message_id, sent_at, body),
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
    """Reads the body to its end or limit; returns the part that is stored."""
    prefix = bytearray()
    assert isinstance(response.stream, AsyncIterable)
    with suppress(NetworkError, ProtocolError, TimeoutException):  # the status decides
        async for chunk in response.stream:
            prefix += chunk[: STORED_BODY_BYTES - len(prefix)]
    return bytes(prefix)
