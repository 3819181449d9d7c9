"""How a batch of messages changes the states of its streams, and what they are found by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.kit.arrays import Uuids, pack_int_array
from projections.kit.copying import binary_cursor, copy_rows
from projections.profile.search_terms import search_text, trigrams
from projections.profile.tables import search, state
from projections.runtime.batch import Batch, DecodedMessage

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


class FoldedStream(NamedTuple):
    """A stream after a batch."""

    stream: UUID
    is_stored: bool
    """Whether it has rows."""

    last_seen_at: datetime | None
    state: bytes
    search_entry: tuple[datetime, str] | None
    """When the person was met and their words, if that has changed."""


def apply(tx: Connection, batch: Batch) -> None:
    """Add each message of a person to the state of its stream."""
    by_stream = batch.by_stream()
    if not by_stream:
        return
    with binary_cursor(tx) as cursor:
        stored = dict(cursor.execute(_LOAD, (Uuids(by_stream), batch.workspace)).fetchall())
    folded = [_fold_stream(it, stored.get(it), said) for it, said in by_stream.items()]
    _write_states(tx, batch.workspace, folded)
    _write_search_rows(tx, batch.workspace, [it for it in folded if it.search_entry is not None])


def _write_states(tx: Connection, workspace: int, folded: Sequence[FoldedStream]) -> None:
    changed = [it for it in folded if it.is_stored]
    if changed:
        columns = (
            Uuids([it.stream for it in changed]),
            [it.last_seen_at for it in changed],
            [it.state for it in changed],
        )
        with binary_cursor(tx) as cursor:
            cursor.execute(_CHANGE, (*columns, workspace))
    copy_rows(
        tx,
        state,
        ((workspace, it.stream, it.last_seen_at, it.state) for it in folded if not it.is_stored),
    )


def _write_search_rows(tx: Connection, workspace: int, folded: Sequence[FoldedStream]) -> None:
    changed = Uuids([it.stream for it in folded if it.is_stored])
    if changed:
        tx.exec_driver_sql(_FORGET_WORDS, (workspace, changed))
    if folded:
        copy_rows(tx, search, (_search_row(workspace, it) for it in folded))


def _search_row(workspace: int, it: FoldedStream) -> tuple[Any, ...]:
    assert it.search_entry is not None
    met_at, words = it.search_entry
    return workspace, it.stream, met_at, words, pack_int_array(trigrams(words, workspace))


def _fold_stream(
    stream: UUID, stored: bytes | None, messages: Sequence[DecodedMessage]
) -> FoldedStream:
    current = ProfileState() if stored is None else profile_state.decode(stored)
    met = current.first_seen
    # What a person is found by is only told by the first message and by those about attributes.
    telling = met is None or any(it.event.kind == "identify" for it in messages)
    before = _search_entry(current) if telling else None
    for _, event, said in messages:
        profile_state.add(current, event, said)
    after = _search_entry(current) if telling or current.first_seen != met else None
    return FoldedStream(
        stream,
        stored is not None,
        current.last_seen or current.first_seen,
        profile_state.encode(current),
        None if after == before else after,
    )


def _search_entry(current: ProfileState) -> tuple[datetime, str] | None:
    return None if current.first_seen is None else (current.first_seen, search_text(current))
