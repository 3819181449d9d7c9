"""A receiver of webhooks in its own process, which records the arrival of each delivery.

Prints its ports in a line (one answers, one never does) and, once it has read a line, the times of arrival.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop

ARRIVED_AT: dict[str, float] = {}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Answers(asyncio.Protocol):
    """Answers each request at once; a delivery worker sends small, complete requests."""

    def connection_made(self, transport) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))
            }
            size = int(headers[b"content-length"])
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            ARRIVED_AT.setdefault(headers[b"webhook-id"].decode(), time.time())
            self.transport.write(OK)


async def main() -> None:
    loop = asyncio.get_running_loop()
    good = await loop.create_server(Answers, "127.0.0.1", 0, backlog=1_000)
    bad = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=1_000)
    print(*(server.sockets[0].getsockname()[1] for server in (good, bad)), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    sys.stdout.buffer.write(msgspec.json.encode(ARRIVED_AT) + b"\n")


if __name__ == "__main__":
    uvloop.run(main())
