"""Bodies of Segment's paths: a batch, or one message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from domain.events.message import Message, MessageKind
from interfaces.wire.base import InvalidBody, ParsedBody, ParseRejection, WireLimits
from interfaces.wire.envelope import object_members, read_envelope
from interfaces.wire.message_fields import write_key_in
from interfaces.wire.segment.messages import MessageReader


def parse_batch(
    body: bytes, *, received_at: datetime, limits: WireLimits, default_id: Callable[[], str]
) -> ParsedBody:
    """Parse the body of ``/v1/batch``; an invalid message is rejected, the others are accepted.

    Raises InvalidBody if the body has no list of messages.
    """
    envelope = read_envelope(body)
    reader = MessageReader(
        received_at=received_at,
        limits=limits,
        default_id=default_id,
        sent_at=envelope.sent_at,
        shared=envelope.shared,
    )
    items, maximum = envelope.items, limits.batch_messages
    if (
        len(items) > 4 * maximum
    ):  # no SDK does this, and each excess message would be stored as a rejection
        raise InvalidBody("too_many_messages", f"a batch has at most {maximum} messages")
    messages: list[Message] = []
    rejections: list[ParseRejection] = []
    for index, raw in enumerate(items[:maximum]):
        outcome = reader.read(raw, index)
        if isinstance(outcome, Message):
            messages.append(outcome)
        else:
            rejections.append(outcome)
    rejections += [
        ParseRejection(
            index=index,
            code="too_many_messages",
            message=f"a batch has at most {maximum} messages",
            raw=raw,
        )
        for index, raw in enumerate(items[maximum:], maximum)
    ]
    write_key = envelope.write_key or (write_key_in(items[0]) if items else None)
    return ParsedBody(messages=messages, rejections=rejections, write_key=write_key)


def parse_single(
    body: bytes,
    kind: MessageKind,
    *,
    received_at: datetime,
    limits: WireLimits,
    default_id: Callable[[], str],
) -> ParsedBody:
    """Parse the body of a path such as ``/v1/track``: one message of the path's kind.

    Raises InvalidBody if it is not an object; an invalid object is returned as a rejection.
    """
    reader = MessageReader(received_at=received_at, limits=limits, default_id=default_id)
    outcome = reader.read(body, 0, kind)
    write_key = write_key_in(body)
    if isinstance(outcome, Message):
        return ParsedBody(messages=[outcome], rejections=[], write_key=write_key, single=True)
    object_members(body)
    return ParsedBody(messages=[], rejections=[outcome], write_key=write_key, single=True)
