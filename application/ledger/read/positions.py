"""Places in the past: which position an instant is, and how far a stream was at a position.

Positions, versions and times of recording grow together and without gaps, so each answer is found by
halving: some twenty index look-ups, however long the ledger is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from domain.core.errors import NotFound
from domain.profiles.as_of import LedgerPoint

_POSITION_AT = """
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, last_position FROM ledger.ledger_head WHERE workspace = %(workspace)s
    UNION ALL
    SELECT CASE WHEN early THEN middle ELSE low END, CASE WHEN early THEN high ELSE middle - 1 END
    FROM search
        CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS halved
        CROSS JOIN LATERAL (
            SELECT recorded_at <= %(instant)s AS early FROM ledger.event
            WHERE workspace = %(workspace)s AND position = middle
        ) AS looked
    WHERE low < high
)
SELECT low FROM search WHERE low = high
"""

_VERSIONS_AT = """
WITH RECURSIVE search (stream, low, high) AS (
    SELECT stream_id, 0::bigint, version FROM ledger.stream_head
    WHERE stream_id = ANY (%(streams)s)
    UNION ALL
    SELECT stream, CASE WHEN early THEN middle ELSE low END,
        CASE WHEN early THEN high ELSE middle - 1 END
    FROM search
        CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS halved
        CROSS JOIN LATERAL (
            SELECT position <= %(position)s AS early FROM ledger.event
            WHERE workspace = %(workspace)s AND originator_id = stream
                AND originator_version = middle
        ) AS looked
    WHERE low < high
)
SELECT stream, low FROM search WHERE low = high AND low > 0
"""

_PLACE = """
SELECT position, recorded_at FROM ledger.event
WHERE workspace = %(workspace)s AND position = (
    SELECT least(%(position)s, last_position) FROM ledger.ledger_head WHERE workspace = %(workspace)s
)
"""

_MOVE_CLOCK = """
UPDATE ledger.ledger_head SET recorded_at = greatest(recorded_at, clock_timestamp())
WHERE workspace = %s RETURNING last_position, recorded_at
"""


def point_at(
    connection: Connection[Any], workspace: int, when: int | datetime
) -> LedgerPoint | None:
    """Return the last place that is not after a position or instant; None before the first."""
    position = _position_at(connection, workspace, when) if isinstance(when, datetime) else when
    asked = {"workspace": workspace, "position": position}
    found = connection.execute(_PLACE, asked).fetchone()
    return None if found is None else LedgerPoint(*found)


def versions_at(
    connection: Connection[Any], workspace: int, streams: Sequence[UUID], position: int
) -> Mapping[UUID, int]:
    """Return how many events each stream had at a position, of those that had any."""
    asked = {"workspace": workspace, "streams": list(streams), "position": position}
    return dict(connection.execute(_VERSIONS_AT, asked).fetchall())


def _position_at(connection: Connection[Any], workspace: int, instant: datetime) -> int:
    asked = {"workspace": workspace, "instant": instant}
    found = connection.execute(_POSITION_AT, asked).fetchone()
    return 0 if found is None else int(found[0])


def advance_clock(connection: Connection[Any], workspace: int) -> LedgerPoint:
    """Move the clock of a workspace's ledger to now, and return it with the last position."""
    row = connection.execute(_MOVE_CLOCK, (workspace,)).fetchone()
    if row is None:
        raise NotFound(f"there is no workspace {workspace}")
    return LedgerPoint(*row)
