"""What the server itself can gather to remember of each stream: times alone, without any property.

Counts and occurrences without a filter are what most segments ask for.  A property holds this reading to the
other, event by event, in `backfill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions.events import Occurrence, Performed
from domain.conditions.keeping import Kept
from domain.conditions.times import moment
from domain.memories import Did, Memory, Value
from domain.profile_state import DECISIONS
from projections.segments.stored import cursor
from projections.timeline.tables import MESSAGE, timeline

_TIMES = f"""
SELECT stream, {{gather}}(at) FILTER (WHERE at <= %(now)s), array_agg(at) FILTER (WHERE at > %(now)s)
FROM (
    SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint AS at FROM {timeline}
    WHERE workspace = %(workspace)s AND name = %(name)s AND position <= %(position)s
        AND occurred_at <= %(until)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
        AND kind <> ALL(%(decisions)s)
) AS events
GROUP BY stream
"""

_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def can_gather(memory: Memory) -> bool:
    """Say whether the server can: one event name, and nothing asked of its properties."""
    if not isinstance(memory, Did):
        return False
    leaf = memory.leaf
    return (
        isinstance(leaf, Performed | Occurrence) and isinstance(leaf.event, str) and not leaf.where
    )


def gather(
    tx: Connection, workspace: int, memory: Memory, *, position: int, now: int, until: int | None
) -> Mapping[UUID, Value]:
    """Return what is remembered of each stream of the events up to a position.

    Of those that occurred by ``until``, if it is given; what is later than ``now`` has yet to come.
    Instants are in microseconds.
    """
    assert isinstance(memory, Did)
    leaf = memory.leaf
    assert isinstance(leaf, Performed | Occurrence)
    if isinstance(leaf, Performed):
        how = "array_agg"
    else:
        how = "min" if leaf.occurrence == "first" else "max"
    asked = {
        "workspace": workspace,
        "name": leaf.event,
        "position": position,
        "now": now,
        "until": _LAST if until is None else moment(until),
        "decisions": sorted(DECISIONS),
    }
    found = {}
    with cursor(tx) as ask:
        for stream, gathered, coming in ask.execute(_TIMES.format(gather=how), asked):
            value = None if gathered is None else _summary(leaf, gathered)
            if coming is not None:
                alone = ((at, _summary(leaf, [at] if how == "array_agg" else at)) for at in coming)
                value = Kept.waiting(value, [it for it in alone if it[1] is not None])
            if value is not None:
                found[stream] = value
    return found


def _summary(leaf: Performed | Occurrence, gathered: Any) -> Value:
    return leaf.newest(gathered) if isinstance(leaf, Performed) else gathered
