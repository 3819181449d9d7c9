"""Maintains the derived events, in whatever order messages arrive."""

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
from projections.kit.copying import copy_rows, jsonb
from projections.kit.driver import binary_cursor
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

# Each statement takes all its rows as one parameter: one plan for batches of any size.  LATERAL and OFFSET
# force one index lookup for each row: on a table that has just grown the planner expects that reading all of
# it is cheaper.
_FIRST_MESSAGES = f"""
SELECT stream, occurred_at, id, position FROM {first_message}
WHERE workspace = %s AND stream = ANY(%s)
"""

_MOVE_FIRST_MESSAGES = text(f"""
INSERT INTO {first_message} SELECT :workspace, stream, occurred_at, id, position
FROM json_to_recordset(:rows) AS input (stream uuid, occurred_at timestamptz, id uuid, position bigint)
ON CONFLICT (workspace, stream) DO UPDATE SET
    occurred_at = excluded.occurred_at, id = excluded.id, position = excluded.position
""")

# Observations of a field from the last one before the new ones that replaces the value, to the next such one
# after them: outside of this range no derived event can change.
_SERIES = text(f"""
SELECT series.stream, series.field, series.position, series.id, series.kind, series.ordinal,
    series.value::text, series.value = lag(series.value) OVER (
        PARTITION BY series.stream, series.field ORDER BY series.occurred_at, series.id)
FROM json_to_recordset(:rows) AS touched (stream uuid, field text, first_at timestamptz, first_id uuid,
    last_at timestamptz, last_id uuid)
LEFT JOIN LATERAL (
    SELECT occurred_at, id FROM {observation} AS stored
    WHERE stored.workspace = :workspace AND stored.stream = touched.stream
        AND stored.field = touched.field
        AND (stored.occurred_at, stored.id) < (touched.first_at, touched.first_id) AND stored.kind = 'is'
    ORDER BY stored.occurred_at DESC, stored.id DESC LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
    SELECT occurred_at, id FROM {observation} AS stored
    WHERE stored.workspace = :workspace AND stored.stream = touched.stream
        AND stored.field = touched.field
        AND (stored.occurred_at, stored.id) > (touched.last_at, touched.last_id) AND stored.kind = 'is'
    ORDER BY stored.occurred_at, stored.id LIMIT 1
) AS after ON true
CROSS JOIN LATERAL (
    SELECT * FROM {observation} AS stored
    WHERE stored.workspace = :workspace AND stored.stream = touched.stream
        AND stored.field = touched.field
        AND (stored.occurred_at, stored.id) >= (coalesce(before.occurred_at, '-infinity'),
            coalesce(before.id, '00000000-0000-0000-0000-000000000000'))
        AND (stored.occurred_at, stored.id) <= (coalesce(after.occurred_at, 'infinity'),
            coalesce(after.id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    OFFSET 0
) AS series
ORDER BY series.stream, series.field, series.occurred_at, series.id
""")

_REMOVE = text(f"""
DELETE FROM {timeline} WHERE ctid = ANY(ARRAY(
SELECT event.row_id FROM json_to_recordset(:rows)
        AS removed (position bigint, stream uuid, first int, last int)
    CROSS JOIN LATERAL (
        SELECT ctid AS row_id FROM {timeline} AS stored
        WHERE stored.workspace = :workspace AND stored.position = removed.position
            AND stored.stream = removed.stream AND stored.ordinal BETWEEN removed.first AND removed.last
        OFFSET 0
    ) AS event
))
""")

# Events derived from a message of an earlier batch: as `rows.derived_row`, but from its stored row.
_ADD = text(f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at, sent_at, received_at,
    recorded_at, kind, name, subject, message_id, source, channel, session_id, properties)
SELECT cause.workspace, cause.position, cause.stream, input.ordinal, input.id, cause.occurred_at,
    cause.sent_at, cause.received_at, cause.recorded_at, 'derived', input.name, cause.subject,
    input.id::text, cause.source, cause.channel, cause.session_id, input.properties
FROM json_to_recordset(:rows)
    AS input (position bigint, stream uuid, ordinal int, id uuid, name text, properties jsonb)
CROSS JOIN LATERAL (
    SELECT * FROM {timeline} AS cause
    WHERE cause.workspace = :workspace AND cause.position = input.position
        AND cause.stream = input.stream AND cause.ordinal = {MESSAGE}
    OFFSET 0
) AS cause
""")

_LAST_ORDINAL = 2**31 - 1
_IDENTITY_KINDS = COMMAND_KINDS | {"alias"}


class _DerivedChanges:
    """Derived events to be removed, and those to be added."""

    def __init__(self, workspace: int) -> None:
        self._workspace = workspace
        self.removed: list[dict[str, Any]] = []
        self.copied: list[Row] = []
        """Rows of events derived from messages of this batch."""

        self.added: list[dict[str, Any]] = []
        """Events derived from messages of earlier batches."""

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
    """Updates the derived events for the batch, whose messages the timeline has already."""
    observed_messages: dict[UUID, tuple[DecodedMessage, list[Observation]]] = {}
    changes = _DerivedChanges(batch.workspace)
    firsts: dict[UUID, DecodedMessage] = {}
    for stream, messages in batch.by_stream().items():
        for message in messages:
            event = message.event
            if event.kind == "track" and message.document.name not in PROFILE_CHANGING_EVENTS:
                continue  # nearly all
            if observations := observe_message(message):
                observed_messages[event.id] = message, observations
            if (
                event.kind in _IDENTITY_KINDS
                and (identity_event := rules.identity_change(event)) is not None
            ):
                changes.add(message, IDENTITY_CHANGED, [identity_event])
        active = [m for m in messages if m.event.kind not in COMMAND_KINDS]
        if active:
            firsts[stream] = active[0] if len(active) == 1 else min(active, key=_event_order)
    _derive_profile_created(tx, batch.workspace, firsts, changes)
    _derive_from_observations(tx, batch.workspace, observed_messages, changes)
    _execute(tx, _REMOVE, batch.workspace, changes.removed)
    _execute(tx, _ADD, batch.workspace, changes.added)
    if changes.copied:
        copy_rows(tx, timeline, changes.copied)


def _event_order(message: DecodedMessage) -> tuple[datetime, UUID]:
    return message.event.occurred_at, message.event.id


def _derive_profile_created(
    tx: Connection, workspace: int, firsts: dict[UUID, DecodedMessage], changes: _DerivedChanges
) -> None:
    if not firsts:
        return
    moved = []
    with binary_cursor(tx) as cursor:
        stored = cursor.execute(_FIRST_MESSAGES, (workspace, Uuids(firsts))).fetchall()
    for stream, occurred_at, id_, position in stored:
        first = firsts.pop(stream)
        if _event_order(first) < (occurred_at, id_):
            changes.remove(stream, position, PROFILE_CREATED, PROFILE_CREATED)
            moved.append(first)
    for first in (*firsts.values(), *moved):
        changes.add(first, PROFILE_CREATED, [rules.profile_created(first.event.id)])
    if firsts:
        copy_rows(
            tx,
            first_message,
            ((workspace, *_first_message_row(message)) for message in firsts.values()),
        )
    names = ("stream", "occurred_at", "id", "position")
    _execute(
        tx,
        _MOVE_FIRST_MESSAGES,
        workspace,
        [dict(zip(names, _first_message_row(message), strict=True)) for message in moved],
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
    new = [o for _, observations in observed_messages.values() for o in observations]
    copy_rows(tx, observation, ((workspace, *o[:-1], jsonb(o.value)) for o in new))
    rows = _execute(tx, _SERIES, workspace, _touched_series(new))
    for _, series in groupby(map(StoredObservation._make, rows), key=attrgetter("stream", "field")):
        reached = False
        for observed, events in rules.derive_series(series):
            if observed.id in observed_messages:
                reached = True
                changes.add(observed_messages[observed.id][0], observed.ordinal, events)
            elif reached:
                # Several events can be derived only from tags, and these have the last ordinals.
                last = _LAST_ORDINAL if observed.field == rules.TAGS_FIELD else observed.ordinal
                changes.remove(observed.stream, observed.position, observed.ordinal, last)
                changes.add_earlier(observed, events)


def _touched_series(new: Sequence[Observation]) -> list[dict[str, Any]]:
    ends: dict[tuple[UUID, str], list[tuple[datetime, UUID]]] = {}
    for observed in new:
        key = observed.occurred_at, observed.id
        first_last = ends.setdefault((observed.stream, observed.field), [key, key])
        first_last[:] = [min(first_last[0], key), max(first_last[1], key)]
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
