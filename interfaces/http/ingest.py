"""Ingests messages from SDKs: receives bodies, authenticates keys, records messages.

Plain ASGI: a framework would cost as much as parsing and recording together.  Paths, the place of the key, parsing,
answers, CORS and limits belong to the wire format; see ``interfaces.wire.contract``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from application.ledger.append.prepared import PreparedMessage, Receipt
from application.ledger.tables.keys import ApiKey, CacheMiss
from application.ledger.tables.rejected import Rejection
from domain.core.errors import FoldlineError, InvalidRequest
from domain.events.message import Message
from interfaces.http.kit.errors import status_of
from interfaces.http.metrics import observe_ingest
from interfaces.http.receipt_waiter import ReceiptWaiter
from interfaces.http.request_body import BodyMemory, RequestMemory, read_body
from interfaces.service import Service
from interfaces.wire import FORMATS
from interfaces.wire.base import InvalidBody, ParsedBody, ParseRejection, WireLimits
from interfaces.wire.body import decode_body
from interfaces.wire.contract import (
    Answer,
    Headers,
    HttpDialect,
    Problem,
    ProblemKind,
    Route,
    SideRoute,
    WireFormat,
    WireRequest,
)
from interfaces.wire.routing import Match, RouteTable

MESSAGES_PER_TURN = 100
"""Messages that are prepared at once: other requests wait meanwhile.

Of 1,000 it took up to 0.2 s beside a busy worker thread.
"""

_RETRY_AFTER = (b"retry-after", b"1")


class InvalidWriteKey(InvalidRequest):
    """The request has no key that may write."""

    code = "invalid_write_key"


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not for this method."""


class _Path(NamedTuple):
    """One path of a format: the routes by method, or the side route."""

    format_name: str
    dialect: HttpDialect
    routes: Mapping[str, Route]
    side: SideRoute | None


class Ingest:
    """The paths of wire formats.  The Content-Type is ignored: SDKs send JSON under several."""

    def __init__(
        self,
        service: Service,
        formats: Iterable[WireFormat] = tuple(FORMATS.values()),
        memory: BodyMemory | None = None,
    ) -> None:
        self._service = service
        settings = service.settings
        self._limits = WireLimits(
            body_bytes=settings.max_batch_bytes,
            message_bytes=settings.max_message_bytes,
            batch_messages=settings.max_batch_messages,
        )
        self._memory = memory or BodyMemory()
        self._receipts = ReceiptWaiter()
        self._table = RouteTable(
            (path, target) for wire_format in formats for path, target in _paths_of(wire_format)
        )

    def find(self, raw_path: bytes) -> Any | None:
        """Return the ASGI application of a path as received; None if no format has it."""
        match = self._table.find(raw_path)
        return partial(self._respond, match) if match is not None else None

    async def _respond(self, match: Match[_Path], scope: Any, receive: Any, send: Any) -> None:
        path = match.target
        headers = dict(scope["headers"])
        cors = path.dialect.cors
        cors_headers = cors.response_headers(headers.get(b"origin")) if cors else ()
        if cors and scope["method"] == "OPTIONS":
            preflight = Answer(200, b"", cors.preflight_headers(), content_type=b"")
            await _send(send, preflight, cors_headers)
            return
        if path.side is not None:
            request = _request(match, scope, headers, self._limits)
            key = await self._authenticate(path.side.key(request))
            answer = path.side.answer(request, key is not None)
        else:
            answer = await self._answer(match, scope, headers, receive)
        await _send(send, answer, cors_headers)

    async def _answer(
        self, match: Match[_Path], scope: Any, headers: Mapping[bytes, bytes], receive: Any
    ) -> Answer:
        """Answer a request with messages, in the format's form whatever happens."""
        path = match.target
        answers = path.dialect.answers
        try:
            route = path.routes.get(scope["method"])
            if route is None:
                allowed = " or ".join(path.routes)
                raise MethodNotAllowed(f"method not allowed: use {allowed} for {scope['path']}")
            answers = route.answers or answers
            limits = route.limits or path.dialect.limits or self._limits
            with self._memory.request() as memory:
                raw_body = await read_body(receive, limits.body_bytes, memory)
                request = _request(match, scope, headers, limits)
                parsed, receipt = await self._ingest(path, route, request, raw_body, memory)
        except FoldlineError as error:
            problem = _problem_of(error)
            answer = answers.refuse(problem)
            if problem.kind is ProblemKind.UNAVAILABLE:
                answer = answer._replace(headers=(*answer.headers, _RETRY_AFTER))
            observe_ingest(path.format_name, answer.status)
            return answer
        answer = answers.success(request, parsed, receipt)
        observe_ingest(
            path.format_name,
            answer.status,
            recorded=receipt.recorded,
            duplicates=receipt.duplicates,
            rejected=receipt.rejected,
        )
        return answer

    async def _ingest(
        self,
        path: _Path,
        route: Route,
        request: WireRequest,
        raw_body: bytes,
        memory: RequestMemory,
    ) -> tuple[ParsedBody, Receipt]:
        """Parse and record the messages of a request.  Raises FoldlineError."""
        place = path.dialect.key
        key = await self._authenticate(place.in_request(request))
        try:
            encoding = request.headers.get(b"content-encoding", b"").decode("latin-1")
            body = decode_body(raw_body, encoding or None, request.limits.body_bytes)
            if body is not raw_body:
                memory.add(len(body))
            if key is None and not any(name in body for name in place.body_fields):
                raise _missing_key(place.hint)  # before any work for an unauthenticated client
            parsed = route.parse(body, request)
        except InvalidBody as error:
            if key is not None:
                rejection = Rejection(
                    error.code, str(error), raw_body, path.format_name, request.received_at
                )
                await self._record(key, (), [rejection])
            raise
        key = key or await self._authenticate(parsed.write_key)
        if key is None:
            raise _missing_key(place.hint)
        rejections = _to_rejections(parsed.rejections, path.format_name, request.received_at)
        return parsed, await self._record(key, parsed.messages, rejections)

    async def _record(
        self, key: ApiKey, messages: Sequence[Message], rejections: list[Rejection]
    ) -> Receipt:
        ledger, entries = self._service.ledger, list[PreparedMessage]()
        for start in range(0, len(messages), MESSAGES_PER_TURN):
            if len(messages) > MESSAGES_PER_TURN:
                await asyncio.sleep(0)  # lets other requests go on
            some = messages[start : start + MESSAGES_PER_TURN]
            entries += ledger.preparer(key.workspace).prepare(some)
        future = ledger.commits.submit(key.workspace, entries, rejections)
        return await self._receipts.wait(future)

    async def _authenticate(self, key_text: str | None) -> ApiKey | None:
        if not key_text or not key_text.isascii():
            return None
        key = self._service.keys.cached(key_text)
        if key is CacheMiss.MISS:
            key = await asyncio.to_thread(self._service.keys.authenticate, key_text)
        return key if key is not None and key.kind != "read" else None


def _paths_of(wire_format: WireFormat) -> Iterable[tuple[str, _Path]]:
    """Yield each path of a format once.  Raises ValueError if it has two routes for a method."""
    dialect = wire_format.http
    if dialect is None:
        return
    by_path: dict[str, dict[str, Route]] = {}
    for route in dialect.routes:
        routes = by_path.setdefault(route.path, {})
        for method in route.methods:
            if routes.setdefault(method, route) is not route:
                raise ValueError(f"{wire_format.name} has two routes {method} {route.path}")
    for path, routes in by_path.items():
        yield path, _Path(wire_format.name, dialect, routes, None)
    for side in dialect.side_routes:
        yield side.path, _Path(wire_format.name, dialect, {}, side)


def _request(
    match: Match[_Path], scope: Any, headers: Mapping[bytes, bytes], limits: WireLimits
) -> WireRequest:
    return WireRequest(
        method=scope["method"],
        scheme=scope["scheme"],
        parameters=match.parameters,
        query=scope["query_string"],
        headers=headers,
        received_at=datetime.now(UTC),
        limits=limits,
        default_id=_generate_message_id,
    )


def _generate_message_id() -> str:
    return f"foldline-{uuid4()}"


def _missing_key(hint: str) -> InvalidWriteKey:
    return InvalidWriteKey(
        f"missing or invalid write key: {hint}; create one with `foldline keys create --kind write`"
    )


def _problem_of(error: FoldlineError) -> Problem:
    match error:
        case InvalidWriteKey():
            kind = ProblemKind.KEY
        case MethodNotAllowed():
            kind = ProblemKind.METHOD
        case _ if status_of(error) == 503:
            kind = ProblemKind.UNAVAILABLE
        case _:
            kind = ProblemKind.BODY
    return Problem(kind, error.code, str(error))


def _to_rejections(
    rejections: Iterable[ParseRejection], format_name: str, received_at: datetime
) -> list[Rejection]:
    return [
        Rejection(r.code, r.message, r.raw, format_name, received_at, r.message_id)
        for r in rejections
    ]


async def _send(send: Any, answer: Answer, cors: Headers) -> None:
    content_type = ((b"content-type", answer.content_type),) if answer.content_type else ()
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [*content_type, *cors, *answer.headers, length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
