"""Snapshots: what the first events of a stream add up to, kept for every so many of them.

A state is the nearest snapshot before it and the events since, so the time to load one does not grow
with the history.  They are taken off the ingest path, by whoever follows the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from application.ledger.mapper import decode_event
from domain.events import payload
from domain.events.events import MessageEvent
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState

SNAPSHOT_INTERVAL = 100
"""Events of a stream between two snapshots; the index `snapshot_due` says the same."""

_EVENTS_PER_ROUND = 1_000
"""Events of a stream that are held in memory at the same time."""

_NEAREST = """
SELECT known.stream, known.version, known.state
FROM unnest(%(streams)s::uuid[], %(versions)s::bigint[]) AS asked (stream, version)
    CROSS JOIN LATERAL (
        SELECT stream, version, state FROM ledger.snapshot
        WHERE workspace = %(workspace)s AND stream = asked.stream AND format = %(format)s
            AND version <= asked.version
        ORDER BY version DESC LIMIT 1
    ) AS known
"""

_SINCE = """
SELECT originator_id, originator_version, topic, state
FROM unnest(%(streams)s::uuid[], %(after)s::bigint[], %(upto)s::bigint[]) AS asked (stream, after, upto)
    JOIN ledger.event ON workspace = %(workspace)s AND originator_id = asked.stream
        AND originator_version > asked.after AND originator_version <= asked.upto
WHERE state IS NOT NULL
"""

# Not even tried when the row is there: an insert would wait for whoever has it locked.
_FOLLOW = """
INSERT INTO ledger.snapshot_progress (workspace, format, position)
SELECT workspace, format, 0 FROM (VALUES (%s, %s)) AS new (workspace, format)
WHERE NOT EXISTS (SELECT FROM ledger.snapshot_progress AS known
    WHERE known.workspace = new.workspace AND known.format = new.format)
ON CONFLICT DO NOTHING
"""

# Whoever finds the row locked leaves the work to the other.
_PROGRESS = """
SELECT position FROM ledger.snapshot_progress WHERE workspace = %s AND format = %s
FOR UPDATE SKIP LOCKED
"""

_DUE = """
SELECT position, originator_id, originator_version FROM ledger.event
WHERE workspace = %s AND position > %s
    AND originator_version %% 100 = 0 AND topic <> 'system.occurred.v1'
ORDER BY position LIMIT %s
"""

_DROP_OLD = "DELETE FROM ledger.snapshot WHERE workspace = %s AND format < %s"

# Before anything is read: an erasure that locks the table later waits for this snapshot and deletes
# it.  Of one that is under way there is no telling which events it will have blanked.
_BEFORE_READING = "LOCK TABLE ledger.snapshot IN ROW EXCLUSIVE MODE NOWAIT"
_BEFORE_FORGETTING = "LOCK TABLE ledger.snapshot IN SHARE ROW EXCLUSIVE MODE"

_KEEP = """
INSERT INTO ledger.snapshot (workspace, stream, format, version, state)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_MOVE = "UPDATE ledger.snapshot_progress SET position = %s WHERE workspace = %s AND format = %s"

_FORGET = "DELETE FROM ledger.snapshot WHERE workspace = %s AND stream = ANY (%s)"


def load_states(
    connection: Connection[Any], workspace: int, versions: Mapping[UUID, int]
) -> Mapping[UUID, ProfileState]:
    """Return what each stream's events up to a version add up to."""
    states = {stream: ProfileState() for stream in versions}
    reached = dict.fromkeys(versions, 0)
    for stream, version, state in _nearest(connection, workspace, versions):
        states[stream], reached[stream] = profile_state.decode(state), version
    while behind := [it for it, version in versions.items() if reached[it] < version]:
        upto = {it: min(versions[it], reached[it] + _EVENTS_PER_ROUND) for it in behind}
        for stream, version, topic, state in _since(connection, workspace, reached, upto):
            event = decode_event(stream, version, topic, state)
            if isinstance(event, MessageEvent):
                profile_state.add(states[stream], event, payload.parse(event))
        reached |= upto
    return states


def take_due_snapshots(connection: Connection[Any], workspace: int, limit: int = 10) -> int:
    """Take the snapshots that are due, at most ``limit``, and return how many that were.

    0 means that none is due, or that now is not the time: somebody else is at it, or a person is
    being erased.
    """
    place = workspace, profile_state.STATE_FORMAT
    connection.execute(_FOLLOW, place)
    with suppress(LockNotAvailable), connection.transaction():
        progress = connection.execute(_PROGRESS, place).fetchone()
        if progress is None:
            return 0
        connection.execute(_BEFORE_READING)
        if progress == (0,):
            connection.execute(_DROP_OLD, place)
        due = connection.execute(_DUE, (workspace, *progress, limit)).fetchall()
        for position, stream, version in due:
            state = load_states(connection, workspace, {stream: version})[stream]
            row = (
                workspace,
                stream,
                profile_state.STATE_FORMAT,
                version,
                profile_state.encode(state),
            )
            connection.execute(_KEEP, row)
            connection.execute(_MOVE, (position, *place))
        return len(due)
    return 0


def delete_snapshots(connection: Connection[Any], workspace: int, streams: Iterable[UUID]) -> None:
    """Delete the snapshots of streams, in the transaction that blanks their events.

    None that is being taken meanwhile is left behind.
    """
    connection.execute(_BEFORE_FORGETTING)
    connection.execute(_FORGET, (workspace, list(streams)))


def _nearest(
    connection: Connection[Any], workspace: int, versions: Mapping[UUID, int]
) -> Sequence[tuple[UUID, int, bytes]]:
    asked = {
        "workspace": workspace,
        "format": profile_state.STATE_FORMAT,
        "streams": list(versions),
        "versions": list(versions.values()),
    }
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(_NEAREST, asked).fetchall()


def _since(
    connection: Connection[Any], workspace: int, after: Mapping[UUID, int], upto: Mapping[UUID, int]
) -> Sequence[tuple[UUID, int, str, bytes]]:
    asked = {
        "workspace": workspace,
        "streams": list(upto),
        "after": [after[it] for it in upto],
        "upto": list(upto.values()),
    }
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(_SINCE, asked).fetchall()
