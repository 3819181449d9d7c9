"""JSON of a message as received: decoded, and byte for byte."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Raw

from domain.core import sanitise
from domain.events.events import MessageEvent


def received_json(event: MessageEvent) -> dict[str, Any]:
    """Returns the payload as JSON, and the received bytes as text or base64."""
    received = event.raw or event.payload
    try:
        raw, encoding = received.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = b64encode(received).decode(), "base64"
    document = strict_json(received)
    return {
        "payload": strict_json(event.payload) if document is None else document,
        "raw": raw,
        "raw_encoding": encoding,
    }


def strict_json(document: bytes) -> Raw | None:
    """Returns the document as strict JSON with every digit of numbers; None if it is not JSON."""
    try:
        msgspec.json.decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _repaired(document)
    return Raw(document)


def _repaired(document: bytes) -> Raw | None:
    try:
        return Raw(sanitise.dump_json(sanitise.parse_leniently(document)))
    except (ValueError, RecursionError):
        return None
