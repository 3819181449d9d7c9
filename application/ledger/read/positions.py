"""Positions in the past: of an instant, and the versions that streams had at a position.

Positions, versions and recording times grow together and without gaps, so a binary search finds each:
some twenty index look-ups, however long the ledger is.
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
    SELECT CASE WHEN is_before THEN middle ELSE low END, CASE WHEN is_before THEN high ELSE middle - 1 END
    FROM search
        CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS midpoint
        CROSS JOIN LATERAL (
            SELECT recorded_at <= %(instant)s AS is_before FROM ledger.event
            WHERE workspace = %(workspace)s AND position = middle
        ) AS probe
    WHERE low < high
)
SELECT low FROM search WHERE low = high
"""

_VERSIONS_AT = """
WITH RECURSIVE search (stream, low, high) AS (
    SELECT stream_id, 0::bigint, version FROM ledger.stream_head
    WHERE stream_id = ANY (%(streams)s)
    UNION ALL
    SELECT stream, CASE WHEN is_before THEN middle ELSE low END,
        CASE WHEN is_before THEN high ELSE middle - 1 END
    FROM search
        CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS midpoint
        CROSS JOIN LATERAL (
            SELECT position <= %(position)s AS is_before FROM ledger.event
            WHERE workspace = %(workspace)s AND originator_id = stream
                AND originator_version = middle
        ) AS probe
    WHERE low < high
)
SELECT stream, low FROM search WHERE low = high AND low > 0
"""

_POINT_AT = """
SELECT position, recorded_at FROM ledger.event
WHERE workspace = %(workspace)s AND position = (
    SELECT least(%(position)s, last_position) FROM ledger.ledger_head WHERE workspace = %(workspace)s
)
"""

_ADVANCE_CLOCK = """
UPDATE ledger.ledger_head SET recorded_at = greatest(recorded_at, clock_timestamp())
WHERE workspace = %s RETURNING last_position, recorded_at
"""


def point_at(
    connection: Connection[Any], workspace: int, when: int | datetime
) -> LedgerPoint | None:
    """Returns the last point at or before a position or instant; None before the first event."""
    position = _position_at(connection, workspace, when) if isinstance(when, datetime) else when
    params = {"workspace": workspace, "position": position}
    row = connection.execute(_POINT_AT, params).fetchone()
    return None if row is None else LedgerPoint(*row)


def versions_at(
    connection: Connection[Any], workspace: int, streams: Sequence[UUID], position: int
) -> Mapping[UUID, int]:
    """Returns the version of each stream at a position, without streams that had no events."""
    params = {"workspace": workspace, "streams": list(streams), "position": position}
    return dict(connection.execute(_VERSIONS_AT, params).fetchall())


def _position_at(connection: Connection[Any], workspace: int, instant: datetime) -> int:
    params = {"workspace": workspace, "instant": instant}
    row = connection.execute(_POSITION_AT, params).fetchone()
    return 0 if row is None else int(row[0])


def advance_clock(connection: Connection[Any], workspace: int) -> LedgerPoint:
    """Advances the clock of a workspace's ledger to now; returns it with the last position."""
    row = connection.execute(_ADVANCE_CLOCK, (workspace,)).fetchone()
    if row is None:
        raise NotFound(f"workspace {workspace} does not exist")
    return LedgerPoint(*row)
