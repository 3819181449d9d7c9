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

from domain.profiles.facts import ACTS
from domain.profiles.state import DECISIONS
from projections.kit.arrays import Uuids
from projections.kit.copying import binary, copy, jsonb
from projections.runtime.batch import Batch, Message
from projections.timeline.derived_events import rules
from projections.timeline.derived_events.rules import Derived, Observed
from projections.timeline.facts import Observation, observations
from projections.timeline.rows import Row, of_derived
from projections.timeline.tables import (
    CREATED,
    DECIDED,
    MESSAGE,
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
_JOINING = DECISIONS | {"alias"}


class _Derived:
    """The derived events that go, and those that come."""

    def __init__(self, workspace: int) -> None:
        self._workspace = workspace
        self.gone: list[dict[str, Any]] = []
        self.copied: list[Row] = []
        """Of messages of this batch."""

        self.added: list[dict[str, Any]] = []
        """Of messages that the timeline had before."""

    def remove(self, stream: UUID, position: int, first: int, last: int) -> None:
        self.gone.append({"position": position, "stream": stream, "first": first, "last": last})

    def follow(self, cause: Message, first: int, events: Iterable[Derived]) -> None:
        for ordinal, event in enumerate(events, first):
            self.copied.append(of_derived(self._workspace, cause, ordinal, event))

    def follow_earlier(self, cause: Observed, events: Iterable[Derived]) -> None:
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


def derive(tx: Connection, batch: Batch) -> None:
    """Bring the derived events up to the messages of the batch, which the timeline has already."""
    said: dict[UUID, tuple[Message, list[Observation]]] = {}
    following = _Derived(batch.workspace)
    firsts: dict[UUID, Message] = {}
    for stream, messages in batch.by_stream().items():
        for message in messages:
            event = message.event
            if event.kind == "track" and message.document.name not in ACTS:
                continue  # nearly all
            if observed := observations(message):
                said[event.id] = message, observed
            if event.kind in _JOINING and (joined := rules.decided(event)) is not None:
                following.follow(message, DECIDED, [joined])
        done = [it for it in messages if it.event.kind not in DECISIONS]
        if done:
            firsts[stream] = done[0] if len(done) == 1 else min(done, key=_place)
    _created(tx, batch.workspace, firsts, following)
    _observed(tx, batch.workspace, said, following)
    _execute(tx, _REMOVE, batch.workspace, following.gone)
    _execute(tx, _ADD, batch.workspace, following.added)
    if following.copied:
        copy(tx, timeline, following.copied)


def _place(message: Message) -> tuple[datetime, UUID]:
    return message.event.occurred_at, message.event.id


def _created(
    tx: Connection, workspace: int, firsts: dict[UUID, Message], following: _Derived
) -> None:
    if not firsts:
        return
    moved = []
    with binary(tx) as cursor:
        known = cursor.execute(_FIRST_MESSAGES, (workspace, Uuids(firsts))).fetchall()
    for stream, occurred_at, id_, position in known:
        first = firsts.pop(stream)
        if _place(first) < (occurred_at, id_):
            following.remove(stream, position, CREATED, CREATED)
            moved.append(first)
    for first in (*firsts.values(), *moved):
        following.follow(first, CREATED, [rules.person_created(first.event.id)])
    if firsts:
        copy(tx, first_message, ((workspace, *_first(it)) for it in firsts.values()))
    names = ("stream", "occurred_at", "id", "position")
    _execute(
        tx,
        _MOVE_FIRST_MESSAGES,
        workspace,
        [dict(zip(names, _first(it), strict=True)) for it in moved],
    )


def _first(message: Message) -> tuple[UUID, datetime, UUID, int]:
    recorded, event, _ = message
    return recorded.stream, event.occurred_at, event.id, recorded.position


def _observed(
    tx: Connection,
    workspace: int,
    said: Mapping[UUID, tuple[Message, Sequence[Observation]]],
    following: _Derived,
) -> None:
    if not said:
        return
    new = [it for _, observed in said.values() for it in observed]
    copy(tx, observation, ((workspace, *it[:-1], jsonb(it.value)) for it in new))
    rows = _execute(tx, _SERIES, workspace, _touched(new))
    for _, series in groupby(map(Observed._make, rows), key=attrgetter("stream", "field")):
        reached = False
        for each, events in rules.of_series(series):
            if each.id in said:
                reached = True
                following.follow(said[each.id][0], each.ordinal, events)
            elif reached:
                # Only of tags may several events follow, and those have the last ordinals.
                last = _LAST_ORDINAL if each.field == rules.TAGS_FIELD else each.ordinal
                following.remove(each.stream, each.position, each.ordinal, last)
                following.follow_earlier(each, events)


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
