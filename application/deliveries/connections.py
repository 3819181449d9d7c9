"""Connections of webhooks: to addresses that were checked, and no more read than is looked at."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from httpcore2 import AnyIOBackend, AsyncNetworkStream, ConnectError, ConnectTimeout, ReadError

from application.deliveries.addresses import Guard, Refused, Target

CONNECT_SECONDS = 3.0

MOST_READ = 65_536
"""Bytes of a reply, its head included; the connection is no more read from then."""


class GuardedBackend(AnyIOBackend):
    """Opens connections to one target, to addresses that were checked."""

    def __init__(self, guard: Guard, target: Target) -> None:
        self._guard, self._target = guard, target

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Connect to the target; it has to be the one that is asked for."""
        if (host, port) != (self._target.host, self._target.port):
            raise Refused("this is not where the endpoint is")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connect()
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection within {CONNECT_SECONDS:g} seconds") from error

    async def connect_unix_socket(self, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Refuse: there is nobody to be sent to."""
        raise Refused("nothing is sent to a socket of this machine")

    async def _connect(self) -> AsyncNetworkStream:
        failed: ConnectError | None = None
        for address in await self._guard.addresses(self._target):
            try:
                return Bounded(await super().connect_tcp(address, self._target.port))
            except ConnectError as error:
                failed = error
        assert failed is not None
        raise failed


class Bounded(AsyncNetworkStream):
    """A connection on which so many bytes are read after each request, and no more."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream, self._left = stream, MOST_READ

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read, up to the bound."""
        if not self._left:
            raise ReadError(f"the reply is longer than {MOST_READ:,} bytes")
        held = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(held)
        return held

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write, and allow for another reply."""
        self._left = MOST_READ
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncNetworkStream:
        """Go on in TLS."""
        try:
            return Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:  # cancelled, say: nobody else would close it
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._stream.get_extra_info(info)
