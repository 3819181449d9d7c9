"""Faults between the server and PostgreSQL: a relay that cuts connections during a COMMIT."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from typing import Literal, Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

_COMMIT = b"Q\0\0\0\x0bCOMMIT\0"
_OF_A_WRITER = b"\0application_name\0foldline\0"

Cut = Literal["before", "at once", "after the reply"]
CUTS: tuple[Cut, ...] = ("before", "at once", "after the reply")
"""When a connection is cut: the COMMIT never arrives, may arrive, or its reply is lost."""


class CommitCutter:
    """A relay to PostgreSQL that cuts COMMITs of the ledger's writers with a probability.

    ``dsn`` is the address of the same database through the relay.
    """

    def __init__(self, dsn: str, *, probability: float, seed: int) -> None:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
        self._upstream = parts.get("host", "127.0.0.1"), int(parts.get("port", 5432))
        self._parts = parts
        self.probability = probability
        self._chance = random.Random(seed)
        self.cuts: Counter[Cut] = Counter()
        self.commits = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="commit-cutter")
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._relay, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def dsn(self) -> str:
        credentials = quote(self._parts.get("user", "postgres"), safe="")
        if "password" in self._parts:
            credentials += ":" + quote(self._parts["password"], safe="")
        database = quote(self._parts["dbname"], safe="")
        # Unencrypted, so that the relay can recognise a COMMIT.
        plain = "sslmode=disable&gssencmode=disable"
        return f"postgresql://{credentials}@127.0.0.1:{self._port}/{database}?{plain}"

    @property
    def ambiguous(self) -> int:
        """Number of commits whose outcome the writer could not know."""
        return self.cuts.total()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host, port = self._upstream
        opening = (
            asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            if host.startswith("/")
            else asyncio.open_connection(host, port)
        )
        try:
            from_server, to_server = await opening
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._tasks.discard(task)
        done = asyncio.Event()
        answers = asyncio.Event()
        answers.set()
        both = [
            self._loop.create_task(self._to_server(reader, to_server, answers, done)),
            self._loop.create_task(self._from_server(from_server, writer, answers, done)),
        ]
        self._tasks.update(both)
        for direction in both:
            direction.add_done_callback(self._tasks.discard)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for direction in both:
            direction.cancel()
        for side in (writer, to_server):
            side.transport.abort()

    async def _to_server(
        self,
        reader: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        answers: asyncio.Event,
        replied: asyncio.Event,
    ) -> None:
        writes = False
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writes = writes or _OF_A_WRITER in data
                cut = self._decide() if writes and data.endswith(_COMMIT) else None
                if cut is None:
                    to_server.write(data)
                    await to_server.drain()
                    continue
                answers.clear()  # the reply is held back
                if cut != "before":
                    replied.clear()
                    to_server.write(data)
                    await to_server.drain()
                if cut == "after the reply":
                    await replied.wait()
                self.cuts[cut] += 1
                return

    async def _from_server(
        self,
        from_server: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.Event,
        replied: asyncio.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await from_server.read(65_536):
                replied.set()
                await answers.wait()
                writer.write(data)
                await writer.drain()

    def _decide(self) -> Cut | None:
        self.commits += 1
        if self._chance.random() >= self.probability:
            return None
        return self._chance.choice(CUTS)
