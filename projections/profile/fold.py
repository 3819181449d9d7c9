"""Applies a batch of messages to the states and the search terms of its streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.kit.arrays import Uuids, pack_int_array
from projections.kit.copying import copy_rows
from projections.kit.driver import binary_cursor
from projections.profile.search_terms import search_text, trigrams
from projections.profile.tables import search, state
from projections.runtime.batch import Batch, DecodedMessage

_LOAD = f"""
SELECT stored.stream, stored.state FROM unnest(%s::uuid[]) AS keys (stream) CROSS JOIN LATERAL (
    SELECT stream, state FROM {state} WHERE workspace = %s AND stream = keys.stream OFFSET 0
) AS stored
"""

_UPDATE = f"""
UPDATE {state} AS stored SET last_seen_at = input.last_seen_at, state = input.state
FROM unnest(%b, %b::timestamptz[], %b::bytea[]) AS input (stream, last_seen_at, state)
WHERE stored.workspace = %s AND stored.stream = input.stream
"""

_DELETE_SEARCH_ROWS = f"DELETE FROM {search} WHERE workspace = %s AND stream = ANY(%s)"


class FoldedStream(NamedTuple):
    """A stream after a batch."""

    stream: UUID
    is_stored: bool
    """Whether the stream had rows before the batch."""

    last_seen_at: datetime | None
    state: bytes
    search_entry: tuple[datetime, str] | None
    """When the stream was first seen and its search text, if one of them has changed."""


def apply(tx: Connection, batch: Batch) -> None:
    """Applies each message of a profile to the state of its stream."""
    by_stream = batch.by_stream()
    if not by_stream:
        return
    with binary_cursor(tx) as cursor:
        stored = dict(cursor.execute(_LOAD, (Uuids(by_stream), batch.workspace)).fetchall())
    folded = [_fold_stream(key, stored.get(key), messages) for key, messages in by_stream.items()]
    _write_states(tx, batch.workspace, folded)
    _write_search_rows(tx, batch.workspace, [row for row in folded if row.search_entry is not None])


def _write_states(tx: Connection, workspace: int, folded: Sequence[FoldedStream]) -> None:
    changed = [row for row in folded if row.is_stored]
    if changed:
        columns = (
            Uuids([row.stream for row in changed]),
            [row.last_seen_at for row in changed],
            [row.state for row in changed],
        )
        with binary_cursor(tx) as cursor:
            cursor.execute(_UPDATE, (*columns, workspace))
    copy_rows(
        tx,
        state,
        ((workspace, f.stream, f.last_seen_at, f.state) for f in folded if not f.is_stored),
    )


def _write_search_rows(tx: Connection, workspace: int, folded: Sequence[FoldedStream]) -> None:
    changed = Uuids([row.stream for row in folded if row.is_stored])
    if changed:
        tx.exec_driver_sql(_DELETE_SEARCH_ROWS, (workspace, changed))
    if folded:
        copy_rows(tx, search, (_search_row(workspace, row) for row in folded))


def _search_row(workspace: int, folded: FoldedStream) -> tuple[Any, ...]:
    assert folded.search_entry is not None
    first_seen_at, terms = folded.search_entry
    return (
        workspace,
        folded.stream,
        first_seen_at,
        terms,
        pack_int_array(trigrams(terms, workspace)),
    )


def _fold_stream(
    stream: UUID, stored: bytes | None, messages: Sequence[DecodedMessage]
) -> FoldedStream:
    current = ProfileState() if stored is None else profile_state.decode(stored)
    first_seen = current.first_seen
    # Only the first message and those about attributes change the search terms.
    may_change = first_seen is None or any(m.event.kind == "identify" for m in messages)
    before = _search_entry(current) if may_change else None
    for _, event, document in messages:
        profile_state.add(current, event, document)
    after = _search_entry(current) if may_change or current.first_seen != first_seen else None
    return FoldedStream(
        stream,
        stored is not None,
        current.last_seen or current.first_seen,
        profile_state.encode(current),
        None if after == before else after,
    )


def _search_entry(current: ProfileState) -> tuple[datetime, str] | None:
    return None if current.first_seen is None else (current.first_seen, search_text(current))
