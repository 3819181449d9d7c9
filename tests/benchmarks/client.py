"""An HTTP client as cheap as Python allows, because the server shares the machine with it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class UnexpectedAnswer(Exception):
    """The server gave another answer than the one to measure."""


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    @classmethod
    async def open(cls, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    @classmethod
    @asynccontextmanager
    async def several(cls, *ports: int) -> AsyncIterator[list[Connection]]:
        """Opens a connection to each port, and closes them on exit."""
        opened: list[Connection] = []
        try:
            for port in ports:
                opened.append(await cls.open(port))  # noqa: PERF401 - all are closed if the next one fails
            yield opened
        finally:
            for connection in opened:
                await connection.close()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request; returns the status and the body of the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    async def expect(self, request: bytes) -> bytes:
        """Sends a request; returns the body of the answer, which must be 200."""
        status, body = await self.exchange(request)
        if status != 200:
            raise UnexpectedAnswer(f"{status}: {body[:500].decode()}")
        return body

    async def close(self) -> None:
        """Closes the connection and waits until it is closed."""
        assert self._transport is not None
        self._transport.close()
        await self._closed.wait()

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        assert self._answer is not None
        assert len(body) == _length(head), "received more than one answer"
        self._buffer = b""
        self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                error or UnexpectedAnswer("the server closed the connection")
            )


def post(path: str, key: str, body: bytes) -> bytes:
    """Returns the bytes of an ingest request, authenticated as SDKs do."""
    user = b64encode(f"{key}:".encode()).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {user}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str, key: str) -> bytes:
    """Returns the bytes of a query."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(b"content-length:") + 15
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : end if end >= 0 else None])
