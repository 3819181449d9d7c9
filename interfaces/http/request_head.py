"""Reads the heads of requests in bounded memory."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Maximum size of a request's head or trailer, beyond the bytes that arrive together with its beginning."""


class BoundedHeadProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, for which a head or trailer without an end is no valid request.

    Neither uvicorn nor its parser has a limit: they would collect headers until the memory is used up.
    """

    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; answer 400 and close once a head is too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Restart the count: a request begins."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Restart the count: what arrived is no head."""
        self._head_bytes = 0
        super().on_body(body)
