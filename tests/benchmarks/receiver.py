"""A receiver of webhooks in a process of its own, that notes when each came: run by `test_deliveries`.

Says its ports in a line (one that answers, one that never does), and at the end of its standard input when
which delivery came.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop

CAME: dict[str, float] = {}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Answers(asyncio.Protocol):
    """Answers each request at once: small ones, sent whole, as ours are."""

    def connection_made(self, transport) -> None:
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while True:
            head, end, rest = self.held.partition(b"\r\n\r\n")
            if not end:
                return
            named = {
                k.lower(): v for k, _, v in (it.partition(b": ") for it in head.split(b"\r\n"))
            }
            size = int(named[b"content-length"])
            if len(rest) < size:
                return
            self.held = rest[size:]
            CAME.setdefault(named[b"webhook-id"].decode(), time.time())
            self.transport.write(OK)


async def main() -> None:
    loop = asyncio.get_running_loop()
    good = await loop.create_server(Answers, "127.0.0.1", 0, backlog=1_000)
    bad = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=1_000)
    print(*(it.sockets[0].getsockname()[1] for it in (good, bad)), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    sys.stdout.buffer.write(msgspec.json.encode(CAME) + b"\n")


if __name__ == "__main__":
    uvloop.run(main())
