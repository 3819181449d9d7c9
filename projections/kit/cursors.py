"""Cursors of pages: opaque texts that encode the position after which the next page starts."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from domain.core.errors import InvalidRequest
from domain.core.time import from_micros, to_micros


def encode_event(occurred_at: datetime, *position: int) -> str:
    """Returns the cursor of a page whose last event has this time and position in the ledger."""
    return encode_text(".".join(map(str, (to_micros(occurred_at), *position))))


def decode_event(cursor: str) -> tuple[datetime, int, int]:
    """Returns the time, position and ordinal of :func:`encode_event`, or raises InvalidRequest."""
    try:
        micros, position, ordinal = (int(part) for part in decode_text(cursor).split("."))
        if not (0 <= position < 2**63 and 0 <= ordinal < 2**31):
            _reject(cursor)
        return from_micros(micros), position, ordinal
    except (ValueError, OverflowError):
        _reject(cursor)


def encode_sized(size: int, id_: UUID) -> str:
    """Returns the cursor of a page by size whose last row is this one."""
    return encode_text(f"{size}.{id_}")


def decode_sized(cursor: str) -> tuple[int, UUID]:
    """Returns the arguments of :func:`encode_sized`, or raises InvalidRequest."""
    size, _, id_ = decode_text(cursor).partition(".")
    try:
        if not 0 <= int(size) < 2**31:
            _reject(cursor)
        return int(size), UUID(id_)
    except ValueError:
        _reject(cursor)


def encode_position(position: int) -> str:
    """Returns the cursor of a page that ended at this position."""
    return encode_text(f"{position}")


def decode_position(cursor: str) -> int:
    """Returns the argument of :func:`encode_position`, or raises InvalidRequest."""
    digits = decode_text(cursor)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        _reject(cursor)
    return int(digits)


def encode_session(started_at: datetime, stream: UUID, session: str) -> str:
    """Returns the cursor of a page that ended at this session of this stream."""
    return encode_text(f"{to_micros(started_at)}.{stream}.{session}")


def decode_session(cursor: str) -> tuple[datetime, UUID, str]:
    """Returns the arguments of :func:`encode_session`, or raises InvalidRequest."""
    try:
        micros, stream, session = decode_text(cursor).split(".", 2)
        return from_micros(int(micros)), UUID(stream), session
    except (ValueError, OverflowError):
        _reject(cursor)


def encode_stream(at: datetime, stream: UUID) -> str:
    """Returns the cursor of a page whose last row has this time and stream."""
    return encode_text(f"{to_micros(at)}.{stream}")


def decode_stream(cursor: str) -> tuple[datetime, UUID]:
    """Returns the arguments of :func:`encode_stream`, or raises InvalidRequest."""
    try:
        micros, stream = decode_text(cursor).split(".")
        return from_micros(int(micros)), UUID(stream)
    except (ValueError, OverflowError):
        _reject(cursor)


def decode_profile_id(cursor: str) -> UUID:
    """Returns the id that :func:`encode_text` encoded, or raises InvalidRequest."""
    try:
        return UUID(decode_text(cursor))
    except ValueError:
        _reject(cursor)


def encode_trigger(last: tuple[object, ...]) -> str:
    """Returns the cursor of a page whose last trigger has this instant, position and key."""
    return encode_text(" ".join(map(str, last)))


def decode_trigger(cursor: str) -> tuple[int, int, str, int, str]:
    """Returns the argument of :func:`encode_trigger`, or raises InvalidRequest."""
    try:
        at, position, rule, version, cause = decode_text(cursor).split(" ")
        trigger = int(at), int(position), rule, int(version), cause
    except ValueError:
        _reject(cursor)
    if any(abs(number) >= 2**63 for number in trigger[:2]) or abs(trigger[3]) >= 2**31:
        _reject(cursor)
    return trigger


def encode_text(last: str) -> str:
    """Returns the cursor of a page that ended at this text."""
    return urlsafe_b64encode(last.encode()).decode().rstrip("=")


def decode_text(cursor: str) -> str:
    """Returns the argument of :func:`encode_text`, or raises InvalidRequest."""
    try:
        raw = cursor.encode("ascii")
        padded = raw + b"=" * (-len(raw) % 4)
        decoded = b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        _reject(cursor)
    if "\0" in decoded:
        _reject(cursor)
    return decoded


def _reject(cursor: str) -> NoReturn:
    raise InvalidRequest(
        "invalid cursor; send the `next` of the previous page unchanged, or omit it",
        cursor=cursor[:100],
    )
