"""Snapshots: the state of a stream after every `SNAPSHOT_INTERVAL` events.

A state is loaded from the nearest earlier snapshot and the events since, so the time to load it does not
grow with the history.  Snapshots are taken off the ingest path, by the `Snapshotter`.
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
"""Events of a stream between two snapshots; the index `snapshot_due` has the same number."""

_EVENTS_PER_ROUND = 1_000
"""Events of one stream that are held in memory at once."""

_NEAREST = """
SELECT nearest.stream, nearest.version, nearest.state
FROM unnest(%(streams)s::uuid[], %(versions)s::bigint[]) AS wanted (stream, version)
    CROSS JOIN LATERAL (
        SELECT stream, version, state FROM ledger.snapshot
        WHERE workspace = %(workspace)s AND stream = wanted.stream AND format = %(format)s
            AND version <= wanted.version
        ORDER BY version DESC LIMIT 1
    ) AS nearest
"""

_SINCE = """
SELECT originator_id, originator_version, topic, state
FROM unnest(%(streams)s::uuid[], %(after)s::bigint[], %(until)s::bigint[]) AS wanted (stream, after, until)
    JOIN ledger.event ON workspace = %(workspace)s AND originator_id = wanted.stream
        AND originator_version > wanted.after AND originator_version <= wanted.until
WHERE state IS NOT NULL
"""

# Inserts only if the row is missing: an insert would wait for the transaction that has it locked.
_INSERT_PROGRESS = """
INSERT INTO ledger.snapshot_progress (workspace, format, position)
SELECT workspace, format, 0 FROM (VALUES (%s, %s)) AS new (workspace, format)
WHERE NOT EXISTS (SELECT FROM ledger.snapshot_progress AS existing
    WHERE existing.workspace = new.workspace AND existing.format = new.format)
ON CONFLICT DO NOTHING
"""

# A process that finds the row locked leaves the work to the one that holds it.
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

# Locked before anything is read: an erasure that locks the table later waits for this snapshot and
# deletes it.  If an erasure holds the table already, which events it will blank is unknown, so no
# snapshot is taken.
_LOCK_TO_TAKE = "LOCK TABLE ledger.snapshot IN ROW EXCLUSIVE MODE NOWAIT"
_LOCK_TO_DELETE = "LOCK TABLE ledger.snapshot IN SHARE ROW EXCLUSIVE MODE"

_INSERT = """
INSERT INTO ledger.snapshot (workspace, stream, format, version, state)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_ADVANCE = "UPDATE ledger.snapshot_progress SET position = %s WHERE workspace = %s AND format = %s"

_DELETE = "DELETE FROM ledger.snapshot WHERE workspace = %s AND stream = ANY (%s)"


def load_states(
    connection: Connection[Any], workspace: int, versions: Mapping[UUID, int]
) -> Mapping[UUID, ProfileState]:
    """Returns the state of each stream at the given version."""
    states = {stream: ProfileState() for stream in versions}
    reached = dict.fromkeys(versions, 0)
    for stream, version, state in _nearest(connection, workspace, versions):
        states[stream], reached[stream] = profile_state.decode(state), version
    while behind := [stream for stream, version in versions.items() if reached[stream] < version]:
        until = {
            stream: min(versions[stream], reached[stream] + _EVENTS_PER_ROUND) for stream in behind
        }
        for stream, version, topic, state in _since(connection, workspace, reached, until):
            event = decode_event(stream, version, topic, state)
            if isinstance(event, MessageEvent):
                profile_state.add(states[stream], event, payload.parse(event))
        reached |= until
    return states


def take_due_snapshots(connection: Connection[Any], workspace: int, limit: int = 10) -> int:
    """Takes the snapshots that are due, at most ``limit``; returns how many.

    Returns 0 if none is due, if another process takes them, or if an erasure is in progress.
    """
    progress_key = workspace, profile_state.STATE_FORMAT
    connection.execute(_INSERT_PROGRESS, progress_key)
    with suppress(LockNotAvailable), connection.transaction():
        progress = connection.execute(_PROGRESS, progress_key).fetchone()
        if progress is None:
            return 0
        connection.execute(_LOCK_TO_TAKE)
        if progress == (0,):
            connection.execute(_DROP_OLD, progress_key)
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
            connection.execute(_INSERT, row)
            connection.execute(_ADVANCE, (position, *progress_key))
        return len(due)
    return 0


def delete_snapshots(connection: Connection[Any], workspace: int, streams: Iterable[UUID]) -> None:
    """Deletes the snapshots of streams, in the transaction that blanks their events.

    Waits for snapshots that are being taken, so that none of them survives.
    """
    connection.execute(_LOCK_TO_DELETE)
    connection.execute(_DELETE, (workspace, list(streams)))


def _nearest(
    connection: Connection[Any], workspace: int, versions: Mapping[UUID, int]
) -> Sequence[tuple[UUID, int, bytes]]:
    params = {
        "workspace": workspace,
        "format": profile_state.STATE_FORMAT,
        "streams": list(versions),
        "versions": list(versions.values()),
    }
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(_NEAREST, params).fetchall()


def _since(
    connection: Connection[Any],
    workspace: int,
    after: Mapping[UUID, int],
    until: Mapping[UUID, int],
) -> Sequence[tuple[UUID, int, str, bytes]]:
    params = {
        "workspace": workspace,
        "streams": list(until),
        "after": [after[stream] for stream in until],
        "until": list(until.values()),
    }
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(_SINCE, params).fetchall()
