"""Connections of webhooks: to addresses that were checked, and no more read than is looked at."""

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
"""Until the connection is there; and again until TLS is."""

MAX_RESPONSE_BYTES = 65_536
"""Bytes of a reply, its head included; the connection is no more read from then."""


class GuardedBackend(AsyncNetworkBackend):
    """Opens connections to one target, to addresses that were checked."""

    def __init__(self, guard: AddressGuard, target: Target) -> None:
        self._guard, self._target = guard, target

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Connect to the target; it has to be the one that is asked for."""
        if (host, port) != (self._target.host, self._target.port):
            raise AddressRefused("this is not where the endpoint is")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connect()
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection within {CONNECT_SECONDS:g} seconds") from error

    async def connect_unix_socket(self, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Refuse: there is nobody to be sent to."""
        raise AddressRefused("nothing is sent to a socket of this machine")

    async def _connect(self) -> AsyncNetworkStream:
        failed: OSError | None = None
        for address in await self._guard.resolve_allowed(self._target):
            try:
                return BoundedStream(*await open_connection(address, self._target.port))
            except OSError as error:
                failed = error
        raise ConnectError(str(failed)) from failed


async def open_connection(
    address: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an address that was checked: the one place where a socket is opened."""
    return await asyncio.open_connection(address, port, limit=MAX_RESPONSE_BYTES)


class BoundedStream(AsyncNetworkStream):
    """A connection on which so many bytes are read after each request, and no more.

    Time is limited by whoever sends, over the whole of a request.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._remaining, self._buffered = MAX_RESPONSE_BYTES, b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109, ARG002
        """Read, up to the bound."""
        if not self._remaining:
            raise ReadError(f"the reply is longer than {MAX_RESPONSE_BYTES:,} bytes")
        try:
            data = await self._reader.read(min(max_bytes, self._remaining))
        except OSError as error:
            raise ReadError(str(error)) from error
        self._remaining -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109, ARG002
        """Write once the request is whole, which an empty buffer says: its head and body leave together."""
        self._remaining = MAX_RESPONSE_BYTES
        if buffer:
            self._buffered += buffer
            return
        self._writer.write(self._buffered)
        self._buffered = b""
        try:
            await self._writer.drain()
        except OSError as error:  # what it answered before it hung up is read all the same
            raise WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection, whatever the other side makes of it."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
    ) -> AsyncNetworkStream:
        """Go on in TLS.  The certificate has to be of the name that was asked for."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException as error:  # also if it is cancelled: nobody else would close it
            await self.aclose()
            if isinstance(error, TimeoutError):
                raise ConnectTimeout(f"no TLS within {CONNECT_SECONDS:g} seconds") from error
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Say whether something came that nobody asked for, such as the end of an idle connection."""
        if info == "is_readable":
            return self._reader.at_eof() or bool(getattr(self._reader, "_buffer", b""))
        return None
