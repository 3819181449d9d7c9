"""Bodies are read in bounded memory: of one request, and of all together."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.errors import InvalidRequest, Overloaded
from interfaces.http.request_body import BodyMemory, read_body


class Client:
    """Sends chunks and counts how many are read."""

    def __init__(self, *chunks: bytes, endless: bool = False, silent: bool = False) -> None:
        self.chunks, self.endless, self.silent, self.read = chunks, endless, silent, 0

    async def receive(self):
        if self.silent and self.read == len(self.chunks):
            await asyncio.Event().wait()
        chunk = self.chunks[self.read % len(self.chunks)]
        self.read += 1
        more = self.endless or self.silent or self.read < len(self.chunks)
        return {"type": "http.request", "body": chunk, "more_body": more}


def read(client: Client, limit: int, memory: BodyMemory, **options):
    async def run():
        with memory.request() as share:
            body = await read_body(client.receive, limit, share, **options)
            assert share.held == memory.held == len(body)
            return body

    return asyncio.run(run())


@given(st.lists(st.binary(max_size=20), min_size=1), st.integers(0, 200))
def test_a_body_is_its_chunks_up_to_the_first_beyond_the_limit(chunks, limit):
    memory = BodyMemory()
    body = read(Client(*chunks), limit, memory)
    assert b"".join(chunks).startswith(body)
    assert len(body) <= limit + 20
    assert len(body) > limit or body == b"".join(chunks)
    assert memory.held == 0


def test_an_endless_body_is_not_read_beyond_its_limit():
    client = Client(b"x" * 1000, endless=True)
    assert len(read(client, 4_500, BodyMemory())) == 5_000
    assert client.read == 5


def test_all_requests_together_hold_no_more_than_the_maximum():
    memory = BodyMemory(max_bytes=10_000)
    with memory.request() as other:
        other.add(8_000)
        client = Client(b"x" * 1000, endless=True)
        with pytest.raises(Overloaded):
            read(client, 1 << 20, memory)
        assert client.read == 3
        assert memory.held == 8_000, "what the refused request held is free again"
    assert len(read(Client(b"x" * 10_000), 1 << 20, memory)) == 10_000
    assert memory.held == 0


def test_a_client_that_stops_sending_does_not_hold_memory():
    memory = BodyMemory()
    stuck = Client(b"x" * 1000, silent=True)
    with pytest.raises(Overloaded, match="not complete"):
        read(stuck, 1 << 20, memory, seconds=0)
    assert memory.held == 0


def test_a_disconnected_client_holds_nothing():
    memory = BodyMemory()

    async def receive():
        return {"type": "http.disconnect"}

    async def run():
        with memory.request() as share:
            await read_body(receive, 10, share)

    with pytest.raises(InvalidRequest):
        asyncio.run(run())
    assert memory.held == 0
