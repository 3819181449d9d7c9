"""A webhook receiver on its own socket, with scripted answers, right or wrong."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Received:
    """One request; header names are in lower case."""

    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> None:
        """Raises unless the official library verifies the signature with this secret."""
        Webhook(secret).verify(self.body, dict(self.headers), json_parse=False)


Behave = Callable[[socket.socket, Received], bool | None]
"""Answers one request; returns True to keep the connection open."""


def answers(status: int = 200, body: bytes = b"ok", *, keep: bool = True, **headers: str) -> Behave:
    """Returns a behaviour that answers with a valid response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    head = {"content-length": str(len(body)), **named}
    if not keep:
        head["connection"] = "close"
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in head.items()), "", ""]
    data = "\r\n".join(lines).encode() + body

    def behave(connection: socket.socket, _: Received) -> bool:
        connection.sendall(data)
        return keep

    return behave


@dataclass
class Receiver:
    """Accepts and records requests; answers with one behaviour, or with one for each request."""

    behave: Behave | list[Behave] = field(default_factory=answers)
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self.arrived = threading.Condition()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    def wait(self, count: int, seconds: float = 20) -> None:
        """Waits until ``count`` requests have arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, seconds), (
                self.received
            )

    def hold(self, seconds: float) -> None:
        """Waits, at most until the receiver stops."""
        self._stopped.wait(seconds)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with suppress(OSError, ValueError), connection:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            while (request := _read(connection)) is not None:
                with self.arrived:
                    behave = self.behave
                    if isinstance(behave, list):
                        behave = behave[min(len(self.received), len(behave) - 1)]
                    self.received.append(request)
                    self.arrived.notify_all()
                if not behave(connection, request):
                    break
        with suppress(OSError):
            connection.close()
        self._open.discard(connection)


def _read(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    return Received(request_line.split(" ")[1], headers, body)
