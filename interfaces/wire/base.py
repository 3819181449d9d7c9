"""Types shared by all wire formats: parsed bodies, rejections, errors, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from zlib import crc32

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.identifiers import MAX_IDENTIFIER_BYTES, Identifier
from domain.events.message import Message


class InvalidBody(InvalidRequest):
    """The whole body is invalid; ``code`` is the machine-readable reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidMessage(Exception):
    """One message is invalid; the other messages of the body are not affected."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ParseRejection(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected message: its original bytes and the reason."""

    index: int
    """Index in the batch, from 0; for a file, the line number, from 1."""

    code: str
    message: str
    raw: bytes
    message_id: str | None = None
    """The client's message id, if it was readable and valid."""


class ParsedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one body; each of them is in one of the two lists."""

    messages: list[Message]
    rejections: list[ParseRejection]
    write_key: str | None = None
    """The write key in the body, for clients that send it there."""

    single: bool = False
    """Whether the body is a single message, so that its rejection fails the whole request."""

    @property
    def count(self) -> int:
        """Number of messages in the body, valid and rejected."""
        return len(self.messages) + len(self.rejections)


@dataclass(frozen=True, kw_only=True)
class WireLimits:
    """Size limits of a request; a format that publishes its own overrides these."""

    body_bytes: int = 4 * 1024 * 1024
    """Maximum size of a request body, as received and after decompression."""

    message_bytes: int = 128 * 1024
    batch_messages: int = 2500


DEFAULT_LIMITS = WireLimits()

FileRows = Iterator[tuple[int, Message | ParseRejection]]
"""Rows of a file: the line number, from 1, and the message or its rejection."""


_FORBIDDEN_IN_IDENTIFIER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_valid_identifier(value: str) -> bool:
    """Whether the text may be an id: at most 1,024 bytes of UTF-8, no control characters."""
    if (
        len(value) <= MAX_IDENTIFIER_BYTES // 4 and value.isprintable()
    ):  # fast path, taken nearly always
        return True
    return (
        not _FORBIDDEN_IN_IDENTIFIER.search(value)
        and len(value.encode("utf-8", "surrogatepass")) <= MAX_IDENTIFIER_BYTES
    )


def normalise_event_name(value: str | None) -> str:
    """Return an event's name as it is stored: trimmed, with NUL replaced.

    Raises InvalidMessage if the name is empty or too long.
    """
    name = value.strip() if value is not None else ""
    if not name:
        raise InvalidMessage(
            "missing_event", "a track message needs an event name: a non-empty string"
        )
    if len(name) > MAX_IDENTIFIER_BYTES // 4 and len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise InvalidMessage(
            "event_name_too_long", f"an event name has at most {MAX_IDENTIFIER_BYTES} bytes"
        )
    return name.replace("\0", "\ufffd") if "\0" in name else name


def fingerprint_text(identifiers: Iterable[Identifier]) -> str:
    """Return a unique text for the identifiers, separated by NUL, which none of them contains."""
    return "\0".join(chain.from_iterable(identifiers))


def content_fingerprint(
    kind: str, name: str, identifiers: str, parts: tuple[bytes | msgspec.Raw, ...]
) -> int:
    """Return a 32-bit fingerprint that detects different messages with the same message id.

    Different fingerprints prove a conflict; equal ones do not exclude it.  A stronger hash costs a tenth of parsing.
    ``identifiers`` is a text of ``fingerprint_text``, ``parts`` are the JSON slices of the content.  Fields that a
    client changes in a retry (``sentAt``, ``_metadata``, ``context``) are not part of it.
    """
    # No part contains a NUL byte, so two different messages never give the same text.
    return crc32(b"\0".join((f"{kind}\0{name}\0{identifiers}".encode(), *parts)))
