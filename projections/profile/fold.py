"""How a batch of messages changes the states of its streams, and what they are found by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection

from domain import profile_state
from domain.profile_state import ProfileState
from projections.batch import Batch, Message
from projections.copying import copy
from projections.profile.tables import search, state
from projections.profile.words import grams, words_of

_LOAD = f"SELECT stream, state FROM {state} WHERE workspace = %s AND stream = ANY(%s)"

_CHANGE = f"""
UPDATE {state} AS known SET seen_at = new.seen_at, state = new.state
FROM unnest(%b::uuid[], %b::timestamptz[], %b::bytea[]) AS new (stream, seen_at, state)
WHERE known.workspace = %s AND known.stream = new.stream
"""

_FORGET_WORDS = f"DELETE FROM {search} WHERE workspace = %s AND stream = ANY(%s)"

Row = tuple[UUID, datetime | None, bytes]


class Folded(NamedTuple):
    """A stream after a batch."""

    state: ProfileState
    found_by: tuple[datetime, str] | None
    """When the person was met and their words, if that has changed."""


def apply(tx: Connection, batch: Batch) -> None:
    """Add each message of a person to the state of its stream."""
    by_stream: dict[UUID, list[Message]] = defaultdict(list)
    for message in batch.messages():
        if message.event.subject is not None:
            by_stream[message.recorded.stream].append(message)
    if not by_stream:
        return
    streams = sorted(by_stream)
    with _cursor(tx) as cursor:
        stored = dict(cursor.execute(_LOAD, (batch.workspace, streams)).fetchall())
    folded = {it: _folded(stored.get(it), by_stream[it]) for it in streams}
    _keep_states(tx, batch.workspace, folded, stored)
    _keep_words(tx, batch.workspace, folded, stored)


def _cursor(tx: Connection) -> Cursor[Any]:
    """Return a cursor that speaks binary: states come as they are, at half the time."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver.cursor(binary=True)


def _keep_states(
    tx: Connection, workspace: int, folded: Mapping[UUID, Folded], stored: Collection[UUID]
) -> None:
    rows: list[Row] = [
        (stream, it.last_seen or it.first_seen, profile_state.encode(it))
        for stream, (it, _) in folded.items()
    ]
    changed = [it for it in rows if it[0] in stored]
    if changed:
        with _cursor(tx) as cursor:
            columns = (list(it) for it in zip(*changed, strict=True))
            cursor.execute(_CHANGE, (*columns, workspace))
    copy(tx, state, ((workspace, *it) for it in rows if it[0] not in stored))


def _keep_words(
    tx: Connection, workspace: int, folded: Mapping[UUID, Folded], stored: Collection[UUID]
) -> None:
    found_by = {stream: it.found_by for stream, it in folded.items() if it.found_by is not None}
    changed = [stream for stream in found_by if stream in stored]
    if changed:
        tx.exec_driver_sql(_FORGET_WORDS, (workspace, changed))
    if found_by:
        copy(
            tx,
            search,
            (
                (workspace, stream, met_at, words, grams(words, workspace))
                for stream, (met_at, words) in found_by.items()
            ),
        )


def _folded(stored: bytes | None, messages: Sequence[Message]) -> Folded:
    current = ProfileState() if stored is None else profile_state.decode(stored)
    met = current.first_seen
    # What a person is found by is only told by the first message and by those about attributes.
    telling = met is None or any(it.event.kind == "identify" for it in messages)
    before = _found_by(current) if telling else None
    for _, event, said in messages:
        profile_state.add(current, event, said)
    after = _found_by(current) if telling or current.first_seen != met else None
    return Folded(current, None if after == before else after)


def _found_by(current: ProfileState) -> tuple[datetime, str] | None:
    return None if current.first_seen is None else (current.first_seen, words_of(current))
