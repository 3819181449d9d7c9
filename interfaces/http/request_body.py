"""Reads request bodies in bounded memory: per request, and over all running requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from domain.core.errors import InvalidRequest, Overloaded

MAX_HELD_BYTES = 256 * 1024 * 1024
"""Bytes of bodies, as received and decompressed, that the requests of one process hold together.

Their parsed messages take another 1.0 to 2.9 times as much: measured on batches of 500 KB, small messages most.
"""

READ_SECONDS = 60.0
"""Maximum time until the last chunk of a body: slow clients must not hold the memory of others."""


class BodyMemory:
    """Counts the bytes of bodies that running requests hold."""

    def __init__(self, max_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    def request(self) -> RequestMemory:
        """Return the share of one request: a context manager that releases it."""
        return RequestMemory(self)

    def add(self, size: int) -> None:
        """Count ``size`` more bytes.  Raises Overloaded beyond the maximum."""
        if self.held + size > self._max_bytes:
            raise Overloaded("too many requests are being received; send the request again shortly")
        self.held += size


class RequestMemory:
    """The bytes that one request holds."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.held -= self.held

    def add(self, size: int) -> None:
        """Count ``size`` more bytes.  Raises Overloaded if all requests hold too much."""
        self._memory.add(size)
        self.held += size


async def read_body(
    receive: Callable[[], Awaitable[Any]],
    limit: int,
    memory: RequestMemory,
    *,
    seconds: float = READ_SECONDS,
) -> bytes:
    """Read a body; reading stops at the first chunk beyond ``limit`` bytes.

    Raises Overloaded if there is no memory for it, or if it is not complete after ``seconds``.
    """
    first, more = await _read_chunk(receive, memory)
    if not more or len(first) > limit:
        return first
    body = bytearray(first)  # a list of tiny chunks would need many times their bytes
    try:
        async with asyncio.timeout(seconds):
            while more and len(body) <= limit:
                chunk, more = await _read_chunk(receive, memory)
                body += chunk
    except TimeoutError:
        raise Overloaded(
            f"the request body was not complete after {seconds:.0f} s; send it again"
        ) from None
    return bytes(body)


async def _read_chunk(
    receive: Callable[[], Awaitable[Any]], memory: RequestMemory
) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise InvalidRequest("the client disconnected before the request body was complete")
    chunk: bytes = message.get("body", b"")
    memory.add(len(chunk))
    return chunk, message.get("more_body", False)
