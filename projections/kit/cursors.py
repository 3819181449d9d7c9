"""Cursors: where a page ended, opaque to whoever carries them to the next."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from domain.core.errors import InvalidRequest
from domain.core.time import from_micros, to_micros


def encode_event(occurred_at: datetime, *position: int) -> str:
    """Return the cursor of a page whose last event has this time and place in the ledger."""
    return encode_text(".".join(map(str, (to_micros(occurred_at), *position))))


def decode_event(cursor: str) -> tuple[datetime, int, int]:
    """Return time, position and ordinal as :func:`after_event` was given, or raise InvalidRequest."""
    try:
        moment, position, ordinal = (int(part) for part in decode_text(cursor).split("."))
        if not (0 <= position < 2**63 and 0 <= ordinal < 2**31):
            _reject(cursor)
        return from_micros(moment), position, ordinal
    except (ValueError, OverflowError):
        _reject(cursor)


def encode_sized(size: int, id_: UUID) -> str:
    """Return the cursor of a page, by size, whose last row is this one."""
    return encode_text(f"{size}.{id_}")


def decode_sized(cursor: str) -> tuple[int, UUID]:
    """Return what :func:`after_sized` was given, or raise InvalidRequest."""
    size, _, id_ = decode_text(cursor).partition(".")
    try:
        if not 0 <= int(size) < 2**31:
            _reject(cursor)
        return int(size), UUID(id_)
    except ValueError:
        _reject(cursor)


def encode_position(position: int) -> str:
    """Return the cursor of a page that ended at this position of the ledger."""
    return encode_text(f"{position}")


def decode_position(cursor: str) -> int:
    """Return what :func:`after_position` was given, or raise InvalidRequest."""
    said = decode_text(cursor)
    if not (said.isascii() and said.isdigit() and len(said) <= 18):
        _reject(cursor)
    return int(said)


def encode_session(started_at: datetime, stream: UUID, session: str) -> str:
    """Return the cursor of a page that ended at what this stream did under this session id."""
    return encode_text(f"{to_micros(started_at)}.{stream}.{session}")


def decode_session(cursor: str) -> tuple[datetime, UUID, str]:
    """Return what :func:`after_session` was given, or raise InvalidRequest."""
    try:
        moment, stream, session = decode_text(cursor).split(".", 2)
        return from_micros(int(moment)), UUID(stream), session
    except (ValueError, OverflowError):
        _reject(cursor)


def encode_stream(at: datetime, stream: UUID) -> str:
    """Return the cursor of a page whose last row has this time and stream."""
    return encode_text(f"{to_micros(at)}.{stream}")


def decode_stream(cursor: str) -> tuple[datetime, UUID]:
    """Return what :func:`after_stream` was given, or raise InvalidRequest."""
    try:
        moment, stream = decode_text(cursor).split(".")
        return from_micros(int(moment)), UUID(stream)
    except (ValueError, OverflowError):
        _reject(cursor)


def decode_profile_id(cursor: str) -> UUID:
    """Return the id that :func:`after_text` was given, or raise InvalidRequest."""
    try:
        return UUID(decode_text(cursor))
    except ValueError:
        _reject(cursor)


def encode_trigger(last: tuple[object, ...]) -> str:
    """Return the cursor of a page whose last trigger has this place and key."""
    return encode_text(" ".join(map(str, last)))


def decode_trigger(cursor: str) -> tuple[int, int, str, int, str]:
    """Return what :func:`after_trigger` was given, or raise InvalidRequest."""
    try:
        at, by, rule, version, cause = decode_text(cursor).split(" ")
        found = int(at), int(by), rule, int(version), cause
    except ValueError:
        _reject(cursor)
    if any(abs(it) >= 2**63 for it in found[:2]) or abs(found[3]) >= 2**31:
        _reject(cursor)
    return found


def encode_text(last: str) -> str:
    """Return the cursor of a page that ended at this text."""
    return urlsafe_b64encode(last.encode()).decode().rstrip("=")


def decode_text(cursor: str) -> str:
    """Return what :func:`after_text` was given, or raise InvalidRequest."""
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
        "cursor is none of ours; send the `next` of the page before, unchanged, or none",
        cursor=cursor[:100],
    )
