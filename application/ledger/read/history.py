"""The raw events of some streams, in the order in which the ledger took them."""

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

# Versions grow with positions, so each stream gives its own first rows by version, and the first of
# them all by position are what follows.
_FOLLOWING = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM unnest(%(streams)s::uuid[], %(versions)s::bigint[]) AS known (stream, version)
    CROSS JOIN LATERAL (
        SELECT * FROM ledger.event
        WHERE workspace = %(workspace)s AND originator_id = known.stream
            AND originator_version > known.version
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
    """Return the streams' events between two positions, the latter included, at most ``limit``.

    An erased one is among them, without what it said.
    """
    known = versions_at(connection, workspace, streams, after) if after else {}
    asked = {
        "workspace": workspace,
        "streams": list(streams),
        "versions": [known.get(stream, 0) for stream in streams],
        "until": until,
        "limit": limit,
    }
    with connection.cursor(binary=True) as cursor:
        found = [recorded_event(row) for row in cursor.execute(_FOLLOWING, asked).fetchall()]
    if found and found[0].position <= after:
        # Better no answer than one that goes round in circles.
        raise LedgerGap(f"a stream of position {found[0].position} has lost versions")
    return found


def recorded_event(row: tuple[int, UUID, int, datetime, str, bytes | None]) -> RecordedEvent:
    """Return a row of the ledger as its readers are given it."""
    position, stream, version, recorded_at, topic, state = row
    event = None if state is None else decode_event(stream, version, topic, state)
    return RecordedEvent(position, stream, version, recorded_at, event)
