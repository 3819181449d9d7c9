"""Ingests messages from SDKs.

Plain ASGI: a framework would cost as much as parsing and recording together.

What real SDKs need, observed on the wire: exactly 200 (some re-send a batch on 201 or 202); 400 and never
401, 404 or 422 for permanent errors (some retry all but 400); a JSON body with ``code`` and ``message``
(some fail to read anything else, and retry); never a redirect (they would send a GET and lose the data).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from application.ledger.append.prepared import Receipt
from application.ledger.tables.keys import ApiKey, CacheMiss
from application.ledger.tables.rejected import Rejection
from domain.core.errors import FoldlineError, InvalidRequest, LedgerUnavailable, Overloaded
from interfaces.http import browser
from interfaces.http.kit.credentials import key_in_header, key_in_query
from interfaces.http.metrics import observe_ingest
from interfaces.http.receipt_waiter import ReceiptWaiter
from interfaces.service import Service
from interfaces.wire import FORMATS
from interfaces.wire.base import (
    BodyParser,
    InvalidBody,
    ParsedBody,
    ParseRejection,
    WireFormat,
    WireLimits,
)
from interfaces.wire.body import decode_body

Headers = tuple[tuple[bytes, bytes], ...]

_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", b"1")
_CORS_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, content-encoding, x-retry-count, x-strict-mode, anonymousid, sentat",
    ),
    (b"access-control-max-age", b"86400"),
)


class InvalidWriteKey(InvalidRequest):
    """The request has no key that may write."""

    code = "invalid_write_key"


class Ingest:
    """ASGI application for the paths of every wire format, with and without trailing slash.

    The Content-Type is ignored: SDKs send JSON under several.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings
        self._limits = WireLimits(
            body_bytes=settings.max_batch_bytes,
            message_bytes=settings.max_message_bytes,
            batch_messages=settings.max_batch_messages,
        )
        self._receipts = ReceiptWaiter()
        self._formats: Mapping[str, tuple[WireFormat, BodyParser]] = {
            path + slash: (fmt, parse)
            for fmt in FORMATS.values()
            for path, parse in fmt.routes.items()
            for slash in ("", "/")
        }

    @property
    def paths(self) -> Ingest:
        """Paths that it answers: those of the formats and those of browser SDKs."""
        return self

    def __contains__(self, path: object) -> bool:
        return path in self._formats or (isinstance(path, str) and browser.is_browser_path(path))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request whose path is among ``paths``."""
        headers = dict(scope["headers"])
        cors = _cors_headers(headers)
        if scope["method"] == "OPTIONS":
            await _send_response(send, 200, b"", (*cors, *_CORS_PREFLIGHT))
        elif scope["path"] in self._formats:
            await self._respond(scope, headers, cors, receive, send)
        else:
            key = await self._authenticate(browser.write_key_in_path(scope["path"]))
            status, body = browser.browser_response(scope, headers, key_known=key is not None)
            await _send_response(send, status, body, (_JSON, *cors))

    async def _respond(
        self, scope: Any, headers: Mapping[bytes, bytes], cors: Headers, receive: Any, send: Any
    ) -> None:
        fmt, parse = self._formats[scope["path"]]
        try:
            if scope["method"] != "POST":
                raise InvalidRequest(f"method not allowed: use POST for {scope['path']}")
            status, body = await self._ingest(scope, headers, receive, fmt, parse)
        except (Overloaded, LedgerUnavailable) as error:
            status, body = 503, _error_body(error.code, str(error))
            cors = (*cors, _RETRY_AFTER)
        except FoldlineError as error:
            status, body = 400, _error_body(error.code, str(error))
        if status != 200:
            observe_ingest(fmt.name, status)
        await _send_response(send, status, body, (_JSON, *cors))

    async def _ingest(
        self,
        scope: Any,
        headers: Mapping[bytes, bytes],
        receive: Any,
        fmt: WireFormat,
        parse: BodyParser,
    ) -> tuple[int, bytes]:
        raw_body = await _read_body(receive, self._limits.body_bytes)
        received_at = datetime.now(UTC)
        key_text = key_in_header(headers) or key_in_query(scope["query_string"])
        key = await self._authenticate(key_text) if key_text else None
        try:
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            body = decode_body(raw_body, encoding or None, self._limits.body_bytes)
            if key is None and b"writeKey" not in body:
                raise _missing_key()  # before any work for an unauthenticated client
            parsed = parse(
                body, received_at=received_at, limits=self._limits, default_id=_generate_message_id
            )
        except InvalidBody as error:
            if key is not None:
                rejection = Rejection(error.code, str(error), raw_body, fmt.name, received_at)
                await self._record(key, (), [rejection])
            raise
        key = key or await self._authenticate(parsed.write_key)
        if key is None:
            raise _missing_key()
        receipt = await self._record(
            key, parsed.messages, _to_rejections(parsed.rejections, fmt, received_at)
        )
        observe_ingest(
            fmt.name,
            200,
            recorded=receipt.recorded,
            duplicates=receipt.duplicates,
            rejected=receipt.rejected,
        )
        if _is_refused(parsed, headers):
            first = parsed.rejections[0]
            return 400, _error_body(first.code, first.message)
        return 200, _success_body(receipt, parsed.rejections)

    async def _record(self, key: ApiKey, messages: Any, rejections: list[Rejection]) -> Receipt:
        future = self._service.ledger.record(key.workspace, messages, rejections)
        return await self._receipts.wait(future)

    async def _authenticate(self, key_text: str | None) -> ApiKey | None:
        if not key_text:
            return None
        key = self._service.keys.cached(key_text)
        if key is CacheMiss.MISS:
            key = await asyncio.to_thread(self._service.keys.authenticate, key_text)
        return key if key is not None and key.kind != "read" else None


def _missing_key() -> InvalidWriteKey:
    return InvalidWriteKey(
        "missing or invalid write key: send it as the HTTP Basic user name or as writeKey in the body;"
        " create one with `foldline keys create --kind write`"
    )


def _generate_message_id() -> str:
    return f"foldline-{uuid4()}"


async def _read_body(receive: Any, limit: int) -> bytes:
    """Read the request's body; reading stops at the first chunk beyond ``limit`` bytes."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("the client disconnected before the request body was complete")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _to_rejections(
    rejections: Iterable[ParseRejection], fmt: WireFormat, received_at: datetime
) -> list[Rejection]:
    return [
        Rejection(r.code, r.message, r.raw, fmt.name, received_at, r.message_id) for r in rejections
    ]


def _is_refused(parsed: ParsedBody, headers: Mapping[bytes, bytes]) -> bool:
    """True to answer 400: a rejected single message, or no valid message in strict mode."""
    if parsed.messages or not parsed.rejections:
        return False
    return parsed.single or headers.get(b"x-strict-mode") == b"1"


def _success_body(receipt: Receipt, rejections: list[ParseRejection]) -> bytes:
    answer: dict[str, Any] = {"success": True, "position": receipt.position}
    if receipt.duplicates:
        answer["duplicates"] = receipt.duplicates
    if receipt.rejected:
        answer["rejected"] = [
            {"index": r.index, "code": r.code, "message": r.message} for r in rejections
        ]
    return msgspec.json.encode(answer)


def _error_body(code: str, message: str) -> bytes:
    return msgspec.json.encode({"success": False, "code": code, "message": message})


def _cors_headers(headers: Mapping[bytes, bytes]) -> Headers:
    """Allow every origin: a write key can only add.  Browsers refuse `*` with credentials."""
    origin = headers.get(b"origin")
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"retry-after"),
        (b"vary", b"origin"),
    )


async def _send_response(
    send: Any, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
