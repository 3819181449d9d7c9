"""What every wire format gives back, and the ways in which it says no."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Protocol
from zlib import crc32

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.identifiers import MAX_IDENTIFIER_BYTES, Identifier
from domain.events.message import Message


class InvalidBody(InvalidRequest):
    """Nothing of what was sent can be used; ``code`` says why, for a program."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidMessage(Exception):
    """One message cannot be accepted; its neighbours are not concerned."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ParseRejection(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was not accepted: kept as it came, with the reason."""

    index: int
    """Its place in the batch, from 0; the line number, from 1, when it came from a file."""

    code: str
    message: str
    raw: bytes
    message_id: str | None = None
    """The client's id, if it could be read and is a possible one."""


class ParsedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a body held: every message of it is in one of the two lists."""

    messages: list[Message]
    rejections: list[ParseRejection]
    write_key: str | None = None
    """The key inside the body, for clients that send it there."""

    single: bool = False
    """Whether the body was one message, so that its refusal is the refusal of the request."""

    @property
    def count(self) -> int:
        """How many messages were sent, good and bad."""
        return len(self.messages) + len(self.rejections)


@dataclass(frozen=True, kw_only=True)
class WireLimits:
    """How much may be sent at once; the defaults are Segment's."""

    body_bytes: int = 500 * 1024
    """Longest request body, counted after decompression."""

    message_bytes: int = 32 * 1024
    batch_messages: int = 2500


class BodyParser(Protocol):
    """Turns the body of one request into messages.  Raises nothing but BadBody."""

    def __call__(
        self,
        body: bytes,
        *,
        received_at: datetime,
        limits: WireLimits,
        default_id: Callable[[], str],
    ) -> ParsedBody:
        """Read ``body``, which was received at ``received_at`` (UTC)."""
        ...


FileRows = Iterator[tuple[int, Message | ParseRejection]]
"""What a file held, line by line: the line number, from 1, and what it says."""


@dataclass(frozen=True, kw_only=True)
class WireFormat:
    """One way of saying what customers do."""

    name: str
    """Also the name of its module."""

    summary: str
    routes: Mapping[str, BodyParser] = field(default_factory=dict)
    """The paths that its clients POST to, without a trailing slash."""

    read: Callable[..., FileRows] | None = None
    """Reads a file of it, for formats that can be imported."""


_FORBIDDEN_IN_IDENTIFIER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_valid_identifier(value: str) -> bool:
    """Say whether the text may be an id: at most 1,024 bytes of UTF-8, no control character."""
    if len(value) <= MAX_IDENTIFIER_BYTES // 4 and value.isprintable():  # nearly always, and quick
        return True
    return (
        not _FORBIDDEN_IN_IDENTIFIER.search(value)
        and len(value.encode("utf-8", "surrogatepass")) <= MAX_IDENTIFIER_BYTES
    )


def normalise_event_name(value: str | None) -> str:
    """Return an event's name as it is looked for: trimmed, and of characters that all stores hold.

    Raises Refused when nothing is left of it, or when it is too long to be a name.
    """
    name = value.strip() if value is not None else ""
    if not name:
        raise InvalidMessage(
            "missing_event", "a track message needs an event name: a non-empty text"
        )
    if len(name) > MAX_IDENTIFIER_BYTES // 4 and len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise InvalidMessage(
            "event_name_too_long", f"an event name has at most {MAX_IDENTIFIER_BYTES} bytes"
        )
    return name.replace("\0", "\ufffd") if "\0" in name else name


def fingerprint_text(identifiers: Iterable[Identifier]) -> str:
    """Return the identifiers as a text that no others give: none of them holds a NUL."""
    return "\0".join(chain.from_iterable(identifiers))


def content_fingerprint(
    kind: str, name: str, identifiers: str, parts: tuple[bytes | msgspec.Raw, ...]
) -> int:
    """Return the number (32 bits) by which a second message with the same id is compared.

    It shows a clash, it does not prove that there is none; a stronger one costs a tenth of parsing.
    ``who`` is whom it tells of, ``parts`` are the slices of JSON that it is about.  What a client changes when it
    sends the same message again (``sentAt``, ``_metadata``, ``context``) is not among them.
    """
    # No part holds a NUL byte, so two different messages never give the same text.
    return crc32(b"\0".join((f"{kind}\0{name}\0{identifiers}".encode(), *parts)))
