"""How a batch of events is added to what is known of messages: minima, so that order cannot matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.events import channels
from domain.events.channels import CHANNEL_OUTCOMES, CHANNEL_STEPS, ChannelEvent
from domain.profiles.erasure import ErasureScope
from projections.channel_funnels.tables import BITS, message
from projections.kit.copying import copy_rows, jsonb
from projections.runtime.batch import Batch

_STEPS = ", ".join(CHANNEL_STEPS)
_ALL_STEPS = (1 << len(CHANNEL_STEPS)) - 1

_KNOWN = f"""
SELECT known.id, known.stream, known.template, {_STEPS}, outcomes::text
FROM unnest(%b::uuid[], %b::uuid[]) AS asked (id, stream)
CROSS JOIN LATERAL (
    SELECT * FROM {message} AS known
    WHERE known.workspace = %s AND known.id = asked.id AND known.stream = asked.stream OFFSET 0
) AS known
"""

_CHANGE = f"""
UPDATE {message} AS known
SET template = new.template, first_at = new.first_at,
    {", ".join(f"{it} = new.{it}" for it in CHANNEL_STEPS)},
    low = new.low, reached = new.reached, outcomes = new.outcomes::jsonb
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::bigint[], {"%b::bigint[], " * len(CHANNEL_STEPS)}
    %b::int[], %b::int[], %b::text[])
    AS new (id, stream, template, first_at, {_STEPS}, low, reached, outcomes)
WHERE known.workspace = %s AND known.id = new.id AND known.stream = new.stream
"""

_OTHER = f"""EXISTS (
    SELECT FROM {message} AS other
    WHERE other.workspace = known.workspace AND other.id = known.id
        AND other.stream <> known.stream
)"""

_SHARE = f"""
UPDATE {message} AS known SET shared = true
WHERE workspace = %s AND id = ANY(%s) AND NOT shared AND {_OTHER}
"""

_FORGET = f"""
DELETE FROM {message} WHERE workspace = %s AND stream = ANY(%s) RETURNING id, shared
"""

_UNSHARE = f"""
UPDATE {message} AS known SET shared = false
WHERE workspace = %s AND id = ANY(%s) AND shared AND NOT {_OTHER}
"""

MessageKey = tuple[UUID, UUID]
"""Id of the message, and the stream."""


class MessageProgress(msgspec.Struct, gc=False):
    """What one stream shows of a message."""

    by_user: bool
    template: str | None
    times: dict[str, int]
    """When each step, and each other outcome, was seen first."""

    def add(self, template: str | None, times: Mapping[str, int]) -> None:
        """Add what else is shown; of several templates the least counts."""
        if template is not None and (self.template is None or template < self.template):
            self.template = template
        for step, at in times.items():
            self.times[step] = min(at, self.times.get(step, at))

    @property
    def first_at(self) -> int:
        """When anything was seen of it."""
        return min(self.times.values())

    @property
    def steps(self) -> list[int | None]:
        """When each step was seen."""
        return [self.times.get(it) for it in CHANNEL_STEPS]

    @property
    def outcomes(self) -> bytes:
        """When each other outcome was seen, as JSON."""
        return msgspec.json.encode(
            {it: self.times[it] for it in CHANNEL_OUTCOMES if it in self.times}
        )

    @property
    def reached(self) -> int:
        """The bits of the steps up to the furthest, and of the outcomes."""
        known = sum(BITS[it] for it in self.times)
        return known | (1 << (known & _ALL_STEPS).bit_length()) - 1

    def implied_from(self, touch: ChannelEvent) -> int:
        """Return from which step on all up to the furthest are taken: of what has a name, from the first.

        As long as no other stream shows the message too: then `asking` decides.
        """
        first = next((it for it, at in enumerate(self.steps, 1) if at is not None), 1)
        return 1 if touch.message is not None else first


def apply(tx: Connection, batch: Batch) -> None:
    """Add what the batch's events say about messages.

    Nobody else adds to a workspace's messages meanwhile, for the checkpoint is held.
    """
    shown: dict[MessageKey, MessageProgress] = {}
    about: dict[UUID, ChannelEvent] = {}
    for recorded, event, document in batch.messages():
        if event.kind != "track" or event.subject is None:
            continue
        touch = channels.parse_channel_event(document.name, document.properties)
        if touch is not None:
            id_ = message_id(touch, recorded.stream)
            about[id_] = touch
            by_user = event.subject.kind == "user_id"
            each = shown.setdefault((id_, recorded.stream), MessageProgress(by_user, None, {}))
            each.add(touch.template, {touch.step: to_micros(event.occurred_at)})
    if shown:
        _write_progress(tx, batch.workspace, shown, about)


def message_id(touch: ChannelEvent, stream: UUID) -> UUID:
    """Return the id of a message; what names no message is one of its own for each stream."""
    own = touch.message if touch.message is not None else f"\0{stream}"
    text = "\0".join((touch.campaign or "", touch.channel, own))
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


def erase(tx: Connection, forgotten: ErasureScope) -> None:
    """Remove what an erased person's streams show; what others show of the same messages stays."""
    with _cursor(tx) as cursor:
        gone = cursor.execute(
            _FORGET, (forgotten.workspace, [*forgotten.cleared_streams])
        ).fetchall()
        left = sorted({id_ for id_, shared in gone if shared})
        if left:
            cursor.execute(_UNSHARE, (forgotten.workspace, left))


def _write_progress(
    tx: Connection,
    workspace: int,
    progress: dict[MessageKey, MessageProgress],
    touches: Mapping[UUID, ChannelEvent],
) -> None:
    keys = sorted(progress)
    with _cursor(tx) as cursor:
        asked = [[it[0] for it in keys], [it[1] for it in keys]]
        known = cursor.execute(_KNOWN, (*asked, workspace)).fetchall()
        for id_, stream, template, *times, outcomes in known:
            before = {it: at for it, at in zip(CHANNEL_STEPS, times, strict=True) if at is not None}
            progress[id_, stream].add(template, before | msgspec.json.decode(outcomes))
        changed = sorted((row[0], row[1]) for row in known)
        if changed:
            rows = (_change_row(key, progress[key], touches[key[0]]) for key in changed)
            cursor.execute(_CHANGE, (*(list(it) for it in zip(*rows, strict=True)), workspace))
        new = sorted(progress.keys() - set(changed))
        copy_rows(tx, message, _new_rows(workspace, new, progress, touches))
        if new:
            named = sorted({id_ for id_, _ in new if touches[id_].message is not None})
            cursor.execute(_SHARE, (workspace, named))


def _change_row(key: MessageKey, progress: MessageProgress, touch: ChannelEvent) -> tuple[Any, ...]:
    found = (progress.implied_from(touch), progress.reached, progress.outcomes.decode())
    return (*key, progress.template, progress.first_at, *progress.steps, *found)


def _new_rows(
    workspace: int,
    keys: Iterable[MessageKey],
    progress: Mapping[MessageKey, MessageProgress],
    touches: Mapping[UUID, ChannelEvent],
) -> Iterator[tuple[Any, ...]]:
    for key in keys:
        touch, it = touches[key[0]], progress[key]
        fixed = (
            workspace,
            it.reached,
            it.first_at,
            *key,
            it.implied_from(touch),
            it.by_user,
            False,
        )
        said = (touch.campaign or "", touch.channel, touch.message, it.template)
        yield (*fixed, *it.steps, *said, jsonb(it.outcomes))


def _cursor(tx: Connection) -> Cursor[Any]:
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver.cursor(binary=True)
