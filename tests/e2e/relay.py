"""A relay between an SDK and the server that records all requests, to find repeated ones."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def gzipped(self) -> bool:
        return self.body.startswith(b"\x1f\x8b")

    @property
    def messages(self) -> list[dict[str, Any]]:
        body = json.loads(gzip.decompress(self.body) if self.gzipped else self.body)
        return body.get("batch", [body])


class Relay:
    """An HTTP relay to a server's port; ``seen`` has the exchanges in order."""

    def __init__(self, port: int) -> None:
        self.seen: list[Exchange] = []
        handler = type("Handler", (_Handler,), {"upstream": port, "seen": self.seen})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def sent(self) -> list[dict[str, Any]]:
        """All messages that were sent, repeated ones included."""
        posts = (exchange for exchange in self.seen if exchange.method == "POST")
        return [message for exchange in posts for message in exchange.messages]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Log nothing: clients may disconnect at any time."""


class _Handler(BaseHTTPRequestHandler):
    upstream: ClassVar[int]
    seen: ClassVar[list[Exchange]]
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self._body()
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THIS_HOP}
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=15)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        all_headers = {k.lower(): v for k, v in self.headers.items()}
        self.seen.append(Exchange(self.command, self.path, all_headers, body, answer.status))
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_THIS_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_OPTIONS = _forward  # noqa: N815 - the library's names

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


_OF_THIS_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
