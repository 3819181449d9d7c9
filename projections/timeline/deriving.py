"""Keeps the derived events in step with the messages, whatever order those come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain.profile_state import DECISIONS
from projections.batch import Batch
from projections.copying import copy, jsonb
from projections.timeline import derived
from projections.timeline.derived import Derived, Observed
from projections.timeline.observations import Observation, observations
from projections.timeline.tables import (
    CREATED,
    DECIDED,
    MESSAGE,
    first_message,
    observation,
    timeline,
)

# Each statement takes all its rows as one JSON parameter: one plan, whatever the batch.
_FIRST_MESSAGES = text(f"""
SELECT stream, occurred_at, id, position FROM {first_message}
WHERE workspace = :workspace AND stream = ANY(CAST(:streams AS uuid[]))
""")

_SET_FIRST_MESSAGES = text(f"""
INSERT INTO {first_message} AS known
SELECT :workspace, stream, occurred_at, id, position FROM json_to_recordset(:rows)
    AS new(stream uuid, occurred_at timestamptz, id uuid, position bigint)
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
DELETE FROM {timeline} AS it USING json_to_recordset(:rows)
    AS old(position bigint, stream uuid, first int, last int)
WHERE it.workspace = :workspace AND it.position = old.position AND it.stream = old.stream
    AND it.ordinal BETWEEN old.first AND old.last
""")

# A derived event has its times and circumstances from the message that caused it.
_ADD = text(f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at, sent_at, received_at,
    recorded_at, kind, name, subject, message_id, source, channel, session_id, properties)
SELECT cause.workspace, cause.position, cause.stream, new.ordinal, new.id, cause.occurred_at,
    cause.sent_at, cause.received_at, cause.recorded_at, 'derived', new.name, cause.subject,
    new.id::text, cause.source, cause.channel, cause.session_id, new.properties
FROM json_to_recordset(:rows)
    AS new(position bigint, stream uuid, ordinal int, id uuid, name text, properties jsonb)
JOIN {timeline} AS cause ON cause.workspace = :workspace AND cause.position = new.position
    AND cause.stream = new.stream AND cause.ordinal = {MESSAGE}
""")

_LAST_ORDINAL = 2**31 - 1


class First(msgspec.Struct, frozen=True, order=True, gc=False):
    """The first message of a stream."""

    occurred_at: datetime
    id: UUID
    position: int
    stream: UUID


class _Changes:
    """The derived events that go, and those that come."""

    def __init__(self) -> None:
        self.gone: list[dict[str, Any]] = []
        self.new: list[dict[str, Any]] = []

    def remove(self, stream: UUID, position: int, first: int, last: int) -> None:
        self.gone.append({"position": position, "stream": stream, "first": first, "last": last})

    def add(self, stream: UUID, position: int, first: int, events: Iterable[Derived]) -> None:
        for ordinal, (id_, name, properties) in enumerate(events, first):
            self.new.append(
                {
                    "position": position,
                    "stream": stream,
                    "ordinal": ordinal,
                    "id": id_,
                    "name": name,
                    "properties": properties,
                }
            )


def derive(tx: Connection, batch: Batch) -> None:
    """Bring the derived events up to the messages of the batch, which the timeline has already."""
    firsts: dict[UUID, First] = {}
    said: list[Observation] = []
    changes = _Changes()
    for message in batch.messages():
        recorded, event, _ = message
        if event.subject is None:
            continue
        said += observations(message)
        if (following := derived.decided(event)) is not None:
            changes.add(recorded.stream, recorded.position, DECIDED, [following])
        if event.kind not in DECISIONS:
            known = firsts.get(recorded.stream)
            if known is None or event.occurred_at <= known.occurred_at:
                new = First(event.occurred_at, event.id, recorded.position, recorded.stream)
                firsts[recorded.stream] = new if known is None else min(new, known)
    _created(tx, batch.workspace, firsts, changes)
    _observed(tx, batch.workspace, said, changes)
    _execute(tx, _REMOVE, batch.workspace, changes.gone)
    _execute(tx, _ADD, batch.workspace, changes.new)


def _created(tx: Connection, workspace: int, firsts: dict[UUID, First], changes: _Changes) -> None:
    if not firsts:
        return
    asked = {"workspace": workspace, "streams": list(firsts)}
    for stream, occurred_at, id_, position in tx.execute(_FIRST_MESSAGES, asked):
        if First(occurred_at, id_, position, stream) <= firsts[stream]:
            del firsts[stream]
        else:
            changes.remove(stream, position, CREATED, CREATED)
    new = sorted(firsts.values(), key=attrgetter("stream"))
    for it in new:
        changes.add(it.stream, it.position, CREATED, [derived.person_created(it.id)])
    _execute(tx, _SET_FIRST_MESSAGES, workspace, new)


def _observed(
    tx: Connection, workspace: int, said: Sequence[Observation], changes: _Changes
) -> None:
    if not said:
        return
    copy(tx, observation, ((workspace, *it[:-1], jsonb(it.value)) for it in said))
    new = {(it.id, it.field) for it in said}
    touched = _execute(tx, _SERIES, workspace, _touched(said))
    for _, series in groupby(map(Observed._make, touched), key=attrgetter("stream", "field")):
        reached = False
        for each, following in derived.of_series(series):
            is_new = (each.id, each.field) in new
            reached = reached or is_new
            if not reached:
                continue
            if not is_new:
                # Only of tags may several events follow, and those have the last ordinals.
                last = _LAST_ORDINAL if each.field == derived.TAGS_FIELD else each.ordinal
                changes.remove(each.stream, each.position, each.ordinal, last)
            changes.add(each.stream, each.position, each.ordinal, following)


def _touched(said: Sequence[Observation]) -> list[dict[str, Any]]:
    ends: dict[tuple[UUID, str], list[tuple[datetime, UUID]]] = {}
    for it in said:
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
