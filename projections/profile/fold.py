"""How a batch of messages changes the states of its streams, and what they are found by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.kit.arrays import Uuids, integers
from projections.kit.copying import binary, copy
from projections.profile.search_terms import grams, words_of
from projections.profile.tables import search, state
from projections.runtime.batch import Batch, Message

_LOAD = f"""
SELECT known.stream, known.state FROM unnest(%s::uuid[]) AS asked (stream) CROSS JOIN LATERAL (
    SELECT stream, state FROM {state} WHERE workspace = %s AND stream = asked.stream OFFSET 0
) AS known
"""

_CHANGE = f"""
UPDATE {state} AS known SET seen_at = new.seen_at, state = new.state
FROM unnest(%b, %b::timestamptz[], %b::bytea[]) AS new (stream, seen_at, state)
WHERE known.workspace = %s AND known.stream = new.stream
"""

_FORGET_WORDS = f"DELETE FROM {search} WHERE workspace = %s AND stream = ANY(%s)"


class Folded(NamedTuple):
    """A stream after a batch."""

    stream: UUID
    known: bool
    """Whether it has rows."""

    seen_at: datetime | None
    state: bytes
    found_by: tuple[datetime, str] | None
    """When the person was met and their words, if that has changed."""


def apply(tx: Connection, batch: Batch) -> None:
    """Add each message of a person to the state of its stream."""
    by_stream = batch.by_stream()
    if not by_stream:
        return
    with binary(tx) as cursor:
        stored = dict(cursor.execute(_LOAD, (Uuids(by_stream), batch.workspace)).fetchall())
    folded = [_folded(it, stored.get(it), said) for it, said in by_stream.items()]
    _keep_states(tx, batch.workspace, folded)
    _keep_words(tx, batch.workspace, [it for it in folded if it.found_by is not None])


def _keep_states(tx: Connection, workspace: int, folded: Sequence[Folded]) -> None:
    changed = [it for it in folded if it.known]
    if changed:
        columns = (
            Uuids([it.stream for it in changed]),
            [it.seen_at for it in changed],
            [it.state for it in changed],
        )
        with binary(tx) as cursor:
            cursor.execute(_CHANGE, (*columns, workspace))
    copy(
        tx,
        state,
        ((workspace, it.stream, it.seen_at, it.state) for it in folded if not it.known),
    )


def _keep_words(tx: Connection, workspace: int, told: Sequence[Folded]) -> None:
    changed = Uuids([it.stream for it in told if it.known])
    if changed:
        tx.exec_driver_sql(_FORGET_WORDS, (workspace, changed))
    if told:
        copy(tx, search, (_words(workspace, it) for it in told))


def _words(workspace: int, it: Folded) -> tuple[Any, ...]:
    assert it.found_by is not None
    met_at, words = it.found_by
    return workspace, it.stream, met_at, words, integers(grams(words, workspace))


def _folded(stream: UUID, stored: bytes | None, messages: Sequence[Message]) -> Folded:
    current = ProfileState() if stored is None else profile_state.decode(stored)
    met = current.first_seen
    # What a person is found by is only told by the first message and by those about attributes.
    telling = met is None or any(it.event.kind == "identify" for it in messages)
    before = _found_by(current) if telling else None
    for _, event, said in messages:
        profile_state.add(current, event, said)
    after = _found_by(current) if telling or current.first_seen != met else None
    return Folded(
        stream,
        stored is not None,
        current.last_seen or current.first_seen,
        profile_state.encode(current),
        None if after == before else after,
    )


def _found_by(current: ProfileState) -> tuple[datetime, str] | None:
    return None if current.first_seen is None else (current.first_seen, words_of(current))
