"""Network connections of webhooks: only to checked addresses, with a bounded response size."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from httpcore2 import (
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    ReadError,
    WriteError,
)

from application.deliveries.addresses import AddressGuard, AddressRefused, Target

CONNECT_SECONDS = 3.0
"""Time limit to connect, and again for the TLS handshake."""

MAX_RESPONSE_BYTES = 65_536
"""Maximum size of a response in bytes, headers included; nothing is read after that."""


class GuardedBackend(AsyncNetworkBackend):
    """httpcore network backend that connects to one target, at checked addresses only."""

    def __init__(self, guard: AddressGuard, target: Target) -> None:
        self._guard, self._target = guard, target

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Connects to the target.  Raises AddressRefused for any other host or port."""
        if (host, port) != (self._target.host, self._target.port):
            raise AddressRefused(f"{host}:{port} is not the endpoint's address")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connect()
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection within {CONNECT_SECONDS:g} seconds") from error

    async def connect_unix_socket(self, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Raises AddressRefused: local sockets are never allowed."""
        raise AddressRefused("webhooks cannot be sent to a local socket")

    async def _connect(self) -> AsyncNetworkStream:
        last_error: OSError | None = None
        for address in await self._guard.resolve_allowed(self._target):
            try:
                return BoundedStream(*await open_connection(address, self._target.port))
            except OSError as error:
                last_error = error
        raise ConnectError(str(last_error)) from last_error


async def open_connection(
    address: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to an address that was checked: the only place that opens a socket."""
    return await asyncio.open_connection(address, port, limit=MAX_RESPONSE_BYTES)


class BoundedStream(AsyncNetworkStream):
    """A connection that reads at most `MAX_RESPONSE_BYTES` after each request.

    It ignores httpcore's timeouts: the sender limits the time of a whole request.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._remaining, self._buffered = MAX_RESPONSE_BYTES, b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109, ARG002
        """Reads up to ``max_bytes``.  Raises ReadError once the limit of the response is reached."""
        if not self._remaining:
            raise ReadError(f"the response is longer than {MAX_RESPONSE_BYTES:,} bytes")
        try:
            data = await self._reader.read(min(max_bytes, self._remaining))
        except OSError as error:
            raise ReadError(str(error)) from error
        self._remaining -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109, ARG002
        """Buffers the request, and sends it when an empty buffer marks its end.

        So headers and body leave in one packet.
        """
        self._remaining = MAX_RESPONSE_BYTES
        if buffer:
            self._buffered += buffer
            return
        self._writer.write(self._buffered)
        self._buffered = b""
        try:
            await self._writer.drain()
        except OSError as error:  # a response that was sent before the disconnect is still read
            raise WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Closes the connection at once, without a TLS shutdown."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
    ) -> AsyncNetworkStream:
        """Starts TLS.  The certificate has to match ``server_hostname``."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException as error:  # also if it is cancelled: nothing else would close it
            await self.aclose()
            if isinstance(error, TimeoutError):
                raise ConnectTimeout(
                    f"no TLS handshake within {CONNECT_SECONDS:g} seconds"
                ) from error
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Answers `is_readable`: whether unexpected data or the end of the connection arrived."""
        if info == "is_readable":
            return self._reader.at_eof() or bool(getattr(self._reader, "_buffer", b""))
        return None
