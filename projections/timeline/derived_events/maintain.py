"""Keeps the derived events in step with the messages, whatever order those come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain.profiles.facts import PROFILE_CHANGING_EVENTS
from domain.profiles.state import COMMAND_KINDS
from projections.kit.arrays import Uuids
from projections.kit.copying import binary_cursor, copy_rows, jsonb
from projections.runtime.batch import Batch, DecodedMessage
from projections.timeline.derived_events import rules
from projections.timeline.derived_events.rows import derived_row
from projections.timeline.derived_events.rules import DerivedEvent, StoredObservation
from projections.timeline.facts import Observation, observe_message
from projections.timeline.rows import Row
from projections.timeline.tables import (
    IDENTITY_CHANGED,
    MESSAGE,
    PROFILE_CREATED,
    first_message,
    observation,
    timeline,
)

# Each statement takes all its rows as one parameter: one plan, whatever the batch.  LATERAL and OFFSET make
# it one that asks an index for each: on a table that has just grown the planner thinks that reading it
# all is cheaper.
_FIRST_MESSAGES = f"""
SELECT stream, occurred_at, id, position FROM {first_message}
WHERE workspace = %s AND stream = ANY(%s)
"""

_MOVE_FIRST_MESSAGES = text(f"""
INSERT INTO {first_message} SELECT :workspace, stream, occurred_at, id, position
FROM json_to_recordset(:rows) AS new(stream uuid, occurred_at timestamptz, id uuid, position bigint)
ON CONFLICT (workspace, stream) DO UPDATE SET
    occurred_at = excluded.occurred_at, id = excluded.id, position = excluded.position
""")

# What was observed of a field from the last word before the new ones that said all, to the next such
# word after them: outside of that nothing can have changed.
_SERIES = text(f"""
SELECT it.stream, it.field, it.position, it.id, it.how, it.ordinal, it.value::text,
    it.value = lag(it.value) OVER (PARTITION BY it.stream, it.field ORDER BY it.occurred_at, it.id)
FROM json_to_recordset(:rows) AS new(stream uuid, field text, first_at timestamptz, first_id uuid,
    last_at timestamptz, last_id uuid)
LEFT JOIN LATERAL (
    SELECT occurred_at, id FROM {observation} AS it
    WHERE it.workspace = :workspace AND it.stream = new.stream AND it.field = new.field
        AND (it.occurred_at, it.id) < (new.first_at, new.first_id) AND it.how = 'is'
    ORDER BY it.occurred_at DESC, it.id DESC LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
    SELECT occurred_at, id FROM {observation} AS it
    WHERE it.workspace = :workspace AND it.stream = new.stream AND it.field = new.field
        AND (it.occurred_at, it.id) > (new.last_at, new.last_id) AND it.how = 'is'
    ORDER BY it.occurred_at, it.id LIMIT 1
) AS after ON true
CROSS JOIN LATERAL (
    SELECT * FROM {observation} AS it
    WHERE it.workspace = :workspace AND it.stream = new.stream AND it.field = new.field
        AND (it.occurred_at, it.id) >= (coalesce(before.occurred_at, '-infinity'),
            coalesce(before.id, '00000000-0000-0000-0000-000000000000'))
        AND (it.occurred_at, it.id) <= (coalesce(after.occurred_at, 'infinity'),
            coalesce(after.id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    OFFSET 0
) AS it
ORDER BY it.stream, it.field, it.occurred_at, it.id
""")

_REMOVE = text(f"""
DELETE FROM {timeline} WHERE ctid = ANY(ARRAY(
    SELECT it.place FROM json_to_recordset(:rows)
        AS old(position bigint, stream uuid, first int, last int)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM {timeline} AS it
        WHERE it.workspace = :workspace AND it.position = old.position AND it.stream = old.stream
            AND it.ordinal BETWEEN old.first AND old.last
        OFFSET 0
    ) AS it
))
""")

# What now follows from a message of an earlier batch: like `rows.of_derived`, from its own row.
_ADD = text(f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at, sent_at, received_at,
    recorded_at, kind, name, subject, message_id, source, channel, session_id, properties)
SELECT cause.workspace, cause.position, cause.stream, new.ordinal, new.id, cause.occurred_at,
    cause.sent_at, cause.received_at, cause.recorded_at, 'derived', new.name, cause.subject,
    new.id::text, cause.source, cause.channel, cause.session_id, new.properties
FROM json_to_recordset(:rows)
    AS new(position bigint, stream uuid, ordinal int, id uuid, name text, properties jsonb)
CROSS JOIN LATERAL (
    SELECT * FROM {timeline} AS cause
    WHERE cause.workspace = :workspace AND cause.position = new.position
        AND cause.stream = new.stream AND cause.ordinal = {MESSAGE}
    OFFSET 0
) AS cause
""")

_LAST_ORDINAL = 2**31 - 1
_IDENTITY_KINDS = COMMAND_KINDS | {"alias"}


class _DerivedChanges:
    """The derived events that go, and those that come."""

    def __init__(self, workspace: int) -> None:
        self._workspace = workspace
        self.removed: list[dict[str, Any]] = []
        self.copied: list[Row] = []
        """Of messages of this batch."""

        self.added: list[dict[str, Any]] = []
        """Of messages that the timeline had before."""

    def remove(self, stream: UUID, position: int, first: int, last: int) -> None:
        self.removed.append({"position": position, "stream": stream, "first": first, "last": last})

    def add(self, cause: DecodedMessage, first: int, events: Iterable[DerivedEvent]) -> None:
        for ordinal, event in enumerate(events, first):
            self.copied.append(derived_row(self._workspace, cause, ordinal, event))

    def add_earlier(self, cause: StoredObservation, events: Iterable[DerivedEvent]) -> None:
        for ordinal, (id_, name, properties) in enumerate(events, cause.ordinal):
            self.added.append(
                {
                    "position": cause.position,
                    "stream": cause.stream,
                    "ordinal": ordinal,
                    "id": id_,
                    "name": name,
                    "properties": properties,
                }
            )


def derive_events(tx: Connection, batch: Batch) -> None:
    """Bring the derived events up to the messages of the batch, which the timeline has already."""
    said: dict[UUID, tuple[DecodedMessage, list[Observation]]] = {}
    following = _DerivedChanges(batch.workspace)
    firsts: dict[UUID, DecodedMessage] = {}
    for stream, messages in batch.by_stream().items():
        for message in messages:
            event = message.event
            if event.kind == "track" and message.document.name not in PROFILE_CHANGING_EVENTS:
                continue  # nearly all
            if observed := observe_message(message):
                said[event.id] = message, observed
            if (
                event.kind in _IDENTITY_KINDS
                and (joined := rules.identity_change(event)) is not None
            ):
                following.add(message, IDENTITY_CHANGED, [joined])
        done = [it for it in messages if it.event.kind not in COMMAND_KINDS]
        if done:
            firsts[stream] = done[0] if len(done) == 1 else min(done, key=_event_order)
    _derive_profile_created(tx, batch.workspace, firsts, following)
    _derive_from_observations(tx, batch.workspace, said, following)
    _execute(tx, _REMOVE, batch.workspace, following.removed)
    _execute(tx, _ADD, batch.workspace, following.added)
    if following.copied:
        copy_rows(tx, timeline, following.copied)


def _event_order(message: DecodedMessage) -> tuple[datetime, UUID]:
    return message.event.occurred_at, message.event.id


def _derive_profile_created(
    tx: Connection, workspace: int, firsts: dict[UUID, DecodedMessage], changes: _DerivedChanges
) -> None:
    if not firsts:
        return
    moved = []
    with binary_cursor(tx) as cursor:
        known = cursor.execute(_FIRST_MESSAGES, (workspace, Uuids(firsts))).fetchall()
    for stream, occurred_at, id_, position in known:
        first = firsts.pop(stream)
        if _event_order(first) < (occurred_at, id_):
            changes.remove(stream, position, PROFILE_CREATED, PROFILE_CREATED)
            moved.append(first)
    for first in (*firsts.values(), *moved):
        changes.add(first, PROFILE_CREATED, [rules.profile_created(first.event.id)])
    if firsts:
        copy_rows(
            tx, first_message, ((workspace, *_first_message_row(it)) for it in firsts.values())
        )
    names = ("stream", "occurred_at", "id", "position")
    _execute(
        tx,
        _MOVE_FIRST_MESSAGES,
        workspace,
        [dict(zip(names, _first_message_row(it), strict=True)) for it in moved],
    )


def _first_message_row(message: DecodedMessage) -> tuple[UUID, datetime, UUID, int]:
    recorded, event, _ = message
    return recorded.stream, event.occurred_at, event.id, recorded.position


def _derive_from_observations(
    tx: Connection,
    workspace: int,
    observed_messages: Mapping[UUID, tuple[DecodedMessage, Sequence[Observation]]],
    changes: _DerivedChanges,
) -> None:
    if not observed_messages:
        return
    new = [it for _, observed in observed_messages.values() for it in observed]
    copy_rows(tx, observation, ((workspace, *it[:-1], jsonb(it.value)) for it in new))
    rows = _execute(tx, _SERIES, workspace, _touched_series(new))
    for _, series in groupby(map(StoredObservation._make, rows), key=attrgetter("stream", "field")):
        reached = False
        for each, events in rules.derive_series(series):
            if each.id in observed_messages:
                reached = True
                changes.add(observed_messages[each.id][0], each.ordinal, events)
            elif reached:
                # Only of tags may several events follow, and those have the last ordinals.
                last = _LAST_ORDINAL if each.field == rules.TAGS_FIELD else each.ordinal
                changes.remove(each.stream, each.position, each.ordinal, last)
                changes.add_earlier(each, events)


def _touched_series(new: Sequence[Observation]) -> list[dict[str, Any]]:
    ends: dict[tuple[UUID, str], list[tuple[datetime, UUID]]] = {}
    for it in new:
        place = it.occurred_at, it.id
        known = ends.setdefault((it.stream, it.field), [place, place])
        known[:] = [min(known[0], place), max(known[1], place)]
    return [
        {
            "stream": stream,
            "field": field,
            "first_at": first[0],
            "first_id": first[1],
            "last_at": last[0],
            "last_id": last[1],
        }
        for (stream, field), (first, last) in ends.items()
    ]


def _execute(tx: Connection, statement: TextClause, workspace: int, rows: Sequence[Any]) -> Any:
    if not rows:
        return ()
    document = msgspec.json.encode(rows).decode()
    return tx.execute(statement, {"workspace": workspace, "rows": document})
