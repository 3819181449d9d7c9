"""Applies events about messages: the earliest time of each step counts, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.events import channels
from domain.events.channels import CHANNEL_OUTCOMES, CHANNEL_STEPS, ChannelEvent
from domain.profiles.erasure import ErasureScope
from projections.channel_funnels.tables import BITS, message
from projections.kit.copying import copy_rows, jsonb
from projections.kit.driver import binary_cursor
from projections.runtime.batch import Batch

_STEPS = ", ".join(CHANNEL_STEPS)
_ALL_STEPS = (1 << len(CHANNEL_STEPS)) - 1

_LOAD = f"""
SELECT stored.id, stored.stream, stored.template, {_STEPS}, outcomes::text
FROM unnest(%b::uuid[], %b::uuid[]) AS keys (id, stream)
CROSS JOIN LATERAL (
   SELECT * FROM {message} AS stored
    WHERE stored.workspace = %s AND stored.id = keys.id AND stored.stream = keys.stream OFFSET 0
) AS stored
"""

_CHANGE = f"""
UPDATE {message} AS stored
SET template = incoming.template, first_at = incoming.first_at,
    {", ".join(f"{step} = incoming.{step}" for step in CHANNEL_STEPS)},
    implied_from = incoming.implied_from, reached_bits = incoming.reached_bits,
    outcomes = incoming.outcomes::jsonb
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::bigint[], {"%b::bigint[], " * len(CHANNEL_STEPS)}
    %b::int[], %b::int[], %b::text[])
    AS incoming (id, stream, template, first_at, {_STEPS}, implied_from, reached_bits, outcomes)
WHERE stored.workspace = %s AND stored.id = incoming.id AND stored.stream = incoming.stream
"""

_REPORTED_BY_OTHERS = f"""EXISTS (
    SELECT FROM {message} AS other
    WHERE other.workspace = stored.workspace AND other.id = stored.id
        AND other.stream <> stored.stream
)"""

_SHARE = f"""
UPDATE {message} AS stored SET shared = true
WHERE workspace = %s AND id = ANY(%s) AND NOT shared AND {_REPORTED_BY_OTHERS}
"""

_DELETE = f"""
DELETE FROM {message} WHERE workspace = %s AND stream = ANY(%s) RETURNING id, shared
"""

_UNSHARE = f"""
UPDATE {message} AS stored SET shared = false
WHERE workspace = %s AND id = ANY(%s) AND shared AND NOT {_REPORTED_BY_OTHERS}
"""

MessageKey = tuple[UUID, UUID]
"""Id of the message, and the stream that reported it."""


class MessageProgress(msgspec.Struct, gc=False):
    """What one stream has reported of a message."""

    by_user: bool
    template: str | None
    times: dict[str, int]
    """Earliest time of each step and other outcome, in microseconds since 1970 UTC."""

    def add(self, template: str | None, times: Mapping[str, int]) -> None:
        """Adds times, of which the earliest count, and a template, of which the least counts."""
        if template is not None and (self.template is None or template < self.template):
            self.template = template
        for step, at in times.items():
            self.times[step] = min(at, self.times.get(step, at))

    @property
    def first_at(self) -> int:
        """The earliest of all times."""
        return min(self.times.values())

    @property
    def steps(self) -> list[int | None]:
        """The time of each step; None if it was not reported."""
        return [self.times.get(step) for step in CHANNEL_STEPS]

    @property
    def outcomes(self) -> bytes:
        """The times of the other outcomes, as JSON."""
        return msgspec.json.encode(
            {name: self.times[name] for name in CHANNEL_OUTCOMES if name in self.times}
        )

    @property
    def reached_bits(self) -> int:
        """The bits of the steps up to the furthest, and of the outcomes."""
        reported = sum(BITS[name] for name in self.times)
        return reported | (1 << (reported & _ALL_STEPS).bit_length()) - 1

    def implied_from(self, touch: ChannelEvent) -> int:
        """Returns the step, from 1, from which on all steps up to the furthest were taken.

        For a message with an id that is the first step, as long as no other stream has reported the
        message too: then `sql` decides.
        """
        first_known = next((n for n, time in enumerate(self.steps, 1) if time is not None), 1)
        return 1 if touch.message is not None else first_known


def apply(tx: Connection, batch: Batch) -> None:
    """Adds the batch's events to the messages that they are about.

    No other worker writes the workspace's messages meanwhile, because the checkpoint is locked.
    """
    progress: dict[MessageKey, MessageProgress] = {}
    touches: dict[UUID, ChannelEvent] = {}
    for recorded, event, document in batch.messages():
        if event.kind != "track" or event.subject is None:
            continue
        touch = channels.parse_channel_event(document.name, document.properties)
        if touch is not None:
            id_ = message_id(touch, recorded.stream)
            touches[id_] = touch
            by_user = event.subject.kind == "user_id"
            reported = progress.setdefault(
                (id_, recorded.stream), MessageProgress(by_user, None, {})
            )
            reported.add(touch.template, {touch.step: to_micros(event.occurred_at)})
    if progress:
        _write_progress(tx, batch.workspace, progress, touches)


def message_id(touch: ChannelEvent, stream: UUID) -> UUID:
    """Returns the id of a message; an event without one is a message of its own for each stream."""
    name = touch.message if touch.message is not None else f"\0{stream}"
    text = "\0".join((touch.campaign or "", touch.channel, name))
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


def erase(tx: Connection, scope: ErasureScope) -> None:
    """Removes the rows of erased streams; rows of other streams about the same messages stay."""
    with binary_cursor(tx) as cursor:
        deleted = cursor.execute(_DELETE, (scope.workspace, [*scope.cleared_streams])).fetchall()
        remaining = sorted({id_ for id_, shared in deleted if shared})
        if remaining:
            cursor.execute(_UNSHARE, (scope.workspace, remaining))


def _write_progress(
    tx: Connection,
    workspace: int,
    progress: dict[MessageKey, MessageProgress],
    touches: Mapping[UUID, ChannelEvent],
) -> None:
    keys = sorted(progress)
    with binary_cursor(tx) as cursor:
        key_columns = [[id_ for id_, _ in keys], [stream for _, stream in keys]]
        stored = cursor.execute(_LOAD, (*key_columns, workspace)).fetchall()
        for id_, stream, template, *times, outcomes in stored:
            steps = zip(CHANNEL_STEPS, times, strict=True)
            known_times = {step: time for step, time in steps if time is not None}
            progress[id_, stream].add(template, known_times | msgspec.json.decode(outcomes))
        changed = sorted((row[0], row[1]) for row in stored)
        if changed:
            rows = (_change_row(key, progress[key], touches[key[0]]) for key in changed)
            cursor.execute(_CHANGE, (*map(list, zip(*rows, strict=True)), workspace))
        new = sorted(progress.keys() - set(changed))
        copy_rows(tx, message, _new_rows(workspace, new, progress, touches))
        if new:
            named = sorted({id_ for id_, _ in new if touches[id_].message is not None})
            cursor.execute(_SHARE, (workspace, named))


def _change_row(key: MessageKey, progress: MessageProgress, touch: ChannelEvent) -> tuple[Any, ...]:
    totals = (progress.implied_from(touch), progress.reached_bits, progress.outcomes.decode())
    return (*key, progress.template, progress.first_at, *progress.steps, *totals)


def _new_rows(
    workspace: int,
    keys: Iterable[MessageKey],
    progress: Mapping[MessageKey, MessageProgress],
    touches: Mapping[UUID, ChannelEvent],
) -> Iterator[tuple[Any, ...]]:
    for key in keys:
        touch, item = touches[key[0]], progress[key]
        fixed = (
            workspace,
            item.reached_bits,
            item.first_at,
            *key,
            item.implied_from(touch),
            item.by_user,
            False,
        )
        texts = (touch.campaign or "", touch.channel, touch.message, item.template)
        yield (*fixed, *item.steps, *texts, jsonb(item.outcomes))
