"""Events of streams, in ledger order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import decode_event
from application.ledger.read.positions import versions_at
from domain.core.errors import LedgerGap
from domain.events.recorded import RecordedEvent

# Versions grow with positions, so the first rows of each stream by version contain the first rows of
# all streams by position.
_EVENTS_AFTER = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM unnest(%(streams)s::uuid[], %(versions)s::bigint[]) AS start (stream, version)
    CROSS JOIN LATERAL (
        SELECT * FROM ledger.event
        WHERE workspace = %(workspace)s AND originator_id = start.stream
            AND originator_version > start.version
        ORDER BY originator_version LIMIT %(limit)s
    ) AS next
WHERE position <= %(until)s
ORDER BY position LIMIT %(limit)s
"""


def stream_events(
    connection: Connection[Any],
    workspace: int,
    streams: Sequence[UUID],
    *,
    after: int,
    until: int,
    limit: int,
) -> Sequence[RecordedEvent]:
    """Returns at most ``limit`` events of streams after position ``after``, up to ``until``.

    Erased events are included, with ``event`` None.  Raises LedgerGap if versions are missing.
    """
    start_versions = versions_at(connection, workspace, streams, after) if after else {}
    params = {
        "workspace": workspace,
        "streams": list(streams),
        "versions": [start_versions.get(stream, 0) for stream in streams],
        "until": until,
        "limit": limit,
    }
    with connection.cursor(binary=True) as cursor:
        events = [recorded_event(row) for row in cursor.execute(_EVENTS_AFTER, params).fetchall()]
    if events and events[0].position <= after:
        # Without this a caller that pages through the history would receive the same page for ever.
        raise LedgerGap(f"stream versions are missing at position {events[0].position}")
    return events


def recorded_event(row: tuple[int, UUID, int, datetime, str, bytes | None]) -> RecordedEvent:
    """Returns the event of a row of the ledger."""
    position, stream, version, recorded_at, topic, state = row
    event = None if state is None else decode_event(stream, version, topic, state)
    return RecordedEvent(position, stream, version, recorded_at, event)
