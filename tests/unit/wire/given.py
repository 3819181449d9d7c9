"""Bodies as clients send them, and helpers that parse them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from domain.core.identifiers import Identifier
from domain.events.message import Message
from interfaces.wire import FORMATS
from interfaces.wire.base import ParsedBody, ParseRejection, WireLimits
from interfaces.wire.contract import WireRequest
from interfaces.wire.segment.bodies import parse_batch, parse_single

RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = WireLimits(body_bytes=500 * 1024, message_bytes=32 * 1024)
"""Segment's."""


def track(**fields: Any) -> dict[str, Any]:
    """Return a valid track message with these fields; ``...`` removes a field."""
    message = {"type": "track", "event": "Viewed", "userId": "u-1", "messageId": "m-1"} | fields
    return {key: value for key, value in message.items() if value is not ...}


def written(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def post(
    path: str,
    body: bytes,
    received_at: datetime = RECEIVED,
    default_id: Callable[[], str] = lambda: "none needed",
) -> ParsedBody:
    """Parse a body as a request to this path of Segment's."""
    dialect = FORMATS["segment"].http
    assert dialect is not None
    [route] = [route for route in dialect.routes if route.path == path]
    request = WireRequest(
        method="POST",
        scheme="http",
        parameters={},
        query=b"",
        headers={},
        received_at=received_at,
        limits=LIMITS,
        default_id=default_id,
    )
    return route.parse(body, request)


def read_batch(body: bytes, limits: WireLimits = LIMITS) -> ParsedBody:
    ids = count(1)
    return parse_batch(
        body, received_at=RECEIVED, limits=limits, default_id=lambda: f"server-{next(ids)}"
    )


def batch(*items: Any, **around: Any) -> ParsedBody:
    """Parse a batch of these messages; bytes are used as JSON unchanged."""
    members = b"".join(b",%b:%b" % (written(key), written(value)) for key, value in around.items())
    return read_batch(b'{"batch":[' + b",".join(map(written, items)) + b"]" + members + b"}")


def single(item: Any, kind: Any = "track") -> ParsedBody:
    return parse_single(
        written(item),
        kind,
        received_at=RECEIVED,
        limits=LIMITS,
        default_id=lambda: "server-1",
    )


def accepted(item: Any, **around: Any) -> Message:
    """Parse a batch of one message, which must be accepted."""
    parsed = batch(item, **around)
    assert not parsed.rejections, parsed.rejections
    (message,) = parsed.messages
    return message


def rejected(item: Any, **around: Any) -> ParseRejection:
    """Parse a batch of one message, which must be rejected with its original bytes."""
    parsed = batch(item, **around)
    assert not parsed.messages, parsed.messages
    (rejection,) = parsed.rejections
    assert rejection.raw == written(item)
    return rejection


USER = Identifier("user_id", "u-1")
ANONYMOUS = Identifier("anonymous_id", "a-1")
