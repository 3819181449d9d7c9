"""Clients that send batches one after the other, as SDKs do, and record the answers."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

from tests.checker import History
from tests.serving import Answer, Client, Server, basic

PAUSE_SECONDS = 0.05
"""Seconds between two attempts to send the same batch."""

NOT_SENT = Answer(0, {}, b"")
"""Stands for the answer to a request that could not be sent: the connection was refused."""


@dataclass
class ObservedAnswer:
    """Status and time of one answer."""

    status: int
    seconds: float
    retry_after: str | None


class Load:
    """Threads that write until they are stopped; every batch is retried until it is accepted.

    ``abandon`` is the share of batches of unknown outcome that are never sent again.
    """

    def __init__(
        self,
        server: Server,
        key: str,
        history: History,
        *,
        clients: int = 4,
        largest: int = 100,
        abandon: float = 0.2,
        seed: int = 0,
    ) -> None:
        self._server, self._key, self._history = server, key, history
        self._largest, self._abandon, self._seed = largest, abandon, seed
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"client-{n}",)) for n in range(clients)
        ]
        self._broken: list[Exception] = []
        self.answers: list[ObservedAnswer] = []
        self.unanswered = 0
        """Number of requests that were sent and never answered."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._given_up.set()
        self.finish()

    def finish(self, within: float = 30.0) -> None:
        """Wait until the last batch of every client is accepted, then stop."""
        self._stopping.set()
        until = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._given_up.set()
        for thread in self._threads:
            thread.join()
        if self._broken:
            raise self._broken[0]

    def give_up(self) -> None:
        """Stop at once; batches that are not acknowledged stay of unknown outcome."""
        self._given_up.set()
        self._stopping.set()

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def since(self, mark: int) -> list[ObservedAnswer]:
        """The answers after the first ``mark``."""
        return self.answers[mark:]

    def _run(self, name: str) -> None:
        try:
            self._write(name, random.Random(f"{self._seed} {name}"))
        except Exception as error:  # noqa: BLE001 - finish raises it
            self._broken.append(error)

    def _write(self, name: str, chance: random.Random) -> None:
        client, turn = self._server.client(), 0
        while not self._stopping.is_set():
            turn += 1
            batch = _batch(name, turn, chance.randint(1, self._largest), chance)
            self._history.invoke(name, turn, batch.items())
            body = b'{"batch": [' + b",".join(batch.values()) + b"]}"
            while not self._given_up.is_set():
                answer = self._send(client, body)
                if answer is not None and answer.status == 200:
                    assert "rejected" not in answer.json, answer
                    self._history.learn(batch, "ok")
                    break
                if answer is not None and 400 <= answer.status < 500:
                    self._history.learn(batch, "fail")
                    break
                if answer is not NOT_SENT and chance.random() < self._abandon:
                    break
                self._given_up.wait(PAUSE_SECONDS)
        client.close()

    def _send(self, client: Client, body: bytes) -> Answer | None:
        started = time.monotonic()
        try:
            answer = client.send("POST", "/v1/batch", body, basic(self._key))
        except ConnectionRefusedError:
            return NOT_SENT
        except (OSError, http.client.HTTPException):
            self.unanswered += 1
            return None
        retry = answer.headers.get("retry-after")
        self.answers.append(ObservedAnswer(answer.status, time.monotonic() - started, retry))
        return answer


def _batch(name: str, turn: int, size: int, chance: random.Random) -> dict[str, bytes]:
    batch = {}
    for n in range(size):
        message_id = f"{name}-{turn}-{n}"
        message = {
            "type": "track",
            "event": f"Event {chance.randrange(10)}",
            "messageId": message_id,
            "userId": f"u-{chance.randrange(200)}",
            "properties": {"n": n, "text": "x" * chance.randrange(200), "umlaut": "ä\0\U0001f600"},
        }
        if chance.random() < 0.2:
            message["anonymousId"] = f"a-{chance.randrange(1000)}"
        batch[message_id] = json.dumps(message).encode()
    return batch
