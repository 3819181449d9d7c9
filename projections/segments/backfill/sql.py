"""What would be remembered by now if it had been looked at from the start: from the timeline's rows.

The timeline has an index of event names, which the ledger has not.  Its rows of messages are written
once, with their positions, so that what it says up to one of them does not depend on when it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Connection

from domain.conditions import Happened
from domain.conditions.events import Occurrence, Performed
from domain.conditions.summary import Kept
from domain.core import sanitise
from domain.core.errors import NotProjectedYet
from domain.core.ledger_time import Since
from domain.core.time import from_micros
from domain.evaluation.summaries import Did, Memory, Value
from domain.profiles.state import DECISIONS
from projections.kit.driver import cursor
from projections.runtime import checkpoint
from projections.timeline.tables import MESSAGE, NAME, VERSION, timeline

AT_ONCE = 10_000
"""Rows fetched together."""

_EVENTS = f"""
SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint, uuid_send(id), kind, name,
    properties::text, (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM {timeline}
WHERE workspace = %(workspace)s {{which}} AND position <= %(position)s
    AND occurred_at <= %(clock)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
    AND kind <> ALL(%(decisions)s)
"""

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

_NAMED, _OF = "AND name = ANY(%(names)s)", "AND stream = ANY(%(streams)b)"

Filled = Mapping[str, Mapping[UUID, Value]]
"""What is remembered of each stream, by the memory's key."""

_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_decode = msgspec.json.Decoder().decode


class TimelineBehind(NotProjectedYet):
    """The timeline has not taken all the events that are to be looked at."""

    code = "timeline_behind"


def fill(tx: Connection, workspace: int, memories: Sequence[Memory], at: Since) -> Filled:
    """Return what is to be remembered of each stream.

    Raises TimelineBehind unless the timeline is at that position: it is tried again then.
    """
    wanted = [it for it in memories if it.names is None or it.names]
    if wanted:
        check(tx, workspace, at.by)
        recalled = recall(tx, workspace, wanted, position=at.by, now=at.at)
    else:
        recalled = {}
    return {it.key: recalled.get(it.key, {}) for it in memories}


def check(tx: Connection, workspace: int, position: int) -> None:
    """Raise TimelineBehind unless the timeline has taken all events up to a position."""
    reached = checkpoint.standing(tx, workspace).get((NAME, VERSION), 0)
    if reached < position:
        raise TimelineBehind(
            f"the timeline is at position {reached}, and is needed at {position}",
            workspace=workspace,
            position=reached,
        )


def recall(
    tx: Connection,
    workspace: int,
    memories: Sequence[Memory],
    *,
    position: int,
    now: int,
    until: int | None = None,
) -> Filled:
    """Return what is remembered of each stream, by ``now``, of the events up to a position.

    Only of those that occurred by ``until``, if it is given.
    """
    found: dict[str, Mapping[UUID, Value]] = {
        it.key: gather(tx, workspace, it, position=position, now=now, until=until)
        for it in memories
        if can_gather(it)
    }
    others = [it for it in memories if it.key not in found]
    if not others:
        return found
    gatherings = [Gathering(it) for it in others]
    return found | dict(gather_all(tx, workspace, gatherings, position, clock=until))


def gather_all(
    tx: Connection,
    workspace: int,
    gatherings: Sequence[Gathering],
    position: int,
    *,
    clock: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> Filled:
    """Return what is remembered of the events up to a position, by looking at each.

    ``clock``, by which they must have occurred, and ``streams`` narrow them down.
    """

    @cache
    def listening(kind: str, name: str) -> Sequence[Gathering]:
        return [it for it in gatherings if it.listens(kind, name)]

    names = _names_of(it.memory for it in gatherings)
    for stream, kind, happened in _events(
        tx, workspace, names, position, clock=clock, streams=streams
    ):
        for each in listening(kind, happened.name):
            each.add(stream, happened)
    return {it.memory.key: it.values() for it in gatherings}


class Gathering:
    """What is remembered of streams, of any number of events in any order.

    Joined two and two of like size: one after the other, 100,000 events of a person took two minutes (measured).
    """

    def __init__(self, memory: Memory, clock: int | None = None) -> None:
        """``clock``: from when on it is asked for."""
        self.memory, self._clock = memory, clock
        self._add = memory.adder()
        self._parts: dict[UUID, list[tuple[int, Value]]] = defaultdict(list)

    def listens(self, kind: str, name: str) -> bool:
        """Say whether it looks at messages of a kind and name."""
        return self.memory.kind in (None, kind) and self.memory.watches(name)

    def add(self, stream: UUID, happened: Happened) -> None:
        """Add an event of a stream."""
        value, size = self._kept(self._add(None, happened)), 1
        if value is None:
            return
        parts = self._parts[stream]
        while parts and parts[-1][0] <= size:
            more, before = parts.pop()
            value, size = self.memory.join([(before, None), (value, None)]), size + more
        parts.append((size, value))

    def values(self) -> Mapping[UUID, Value]:
        """Return what is remembered of each stream."""
        joined = {
            stream: self._kept(self.memory.join([(value, None) for _, value in parts]))
            for stream, parts in self._parts.items()
        }
        return {stream: it for stream, it in joined.items() if it is not None}

    def _kept(self, value: Value) -> Value:
        if self._clock is None or not isinstance(self.memory, Did):
            return value
        return self.memory.leaf.pruned(value, self._clock)


def _names_of(memories: Iterable[Memory]) -> Sequence[str] | None:
    """Return the names of all the events that they look at; None: a pattern tells them."""
    names = [it.names for it in memories]
    known = [it for it in names if it is not None]
    if len(known) < len(names):
        return None
    return sorted(filter(sanitise.is_text, frozenset[str]().union(*known)))


def _events(
    tx: Connection,
    workspace: int,
    names: Sequence[str] | None,
    position: int,
    *,
    clock: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> Iterator[tuple[UUID, str, Happened]]:
    """Give out the events up to a position, each with its stream and its kind.

    ``names`` and ``streams`` narrow them down; so does ``clock``, by which they must have occurred.
    """
    which = ("" if names is None else _NAMED) + ("" if streams is None else _OF)
    asked = {
        "workspace": workspace,
        "names": names,
        "streams": streams,
        "position": position,
        "clock": _LAST if clock is None else from_micros(clock),
        "decisions": sorted(DECISIONS),
    }
    driver = cursor(tx).connection
    with driver.cursor(name=f"recall_{uuid4().hex}", binary=True) as rows:
        rows.itersize = AT_ONCE
        rows.execute(_EVENTS.format(which=which), asked)
        for stream, at, id_, kind, name, properties, recorded in rows:
            document = {"properties": _decode(properties)}
            happened = Happened(at, id_, name, document, clock or recorded)
            yield stream, kind, happened


def can_gather(memory: Memory) -> bool:
    """Say whether the server can: one event name, and nothing asked of its properties."""
    if not isinstance(memory, Did):
        return False
    leaf = memory.leaf
    if not isinstance(leaf, Performed | Occurrence) or leaf.where:
        return False
    return isinstance(leaf.event, str) and sanitise.is_text(leaf.event)


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
    counted = leaf if isinstance(leaf, Performed) else leaf.counted
    how = "min" if counted is None else "array_agg"

    def summary(gathered: Any) -> Value:
        return gathered if counted is None else counted.newest(gathered)

    asked = {
        "workspace": workspace,
        "name": leaf.event,
        "position": position,
        "now": now,
        "until": _LAST if until is None else from_micros(until),
        "decisions": sorted(DECISIONS),
    }
    found = {}
    with cursor(tx) as ask:
        for stream, gathered, coming in ask.execute(_TIMES.format(gather=how), asked):
            value = None if gathered is None else summary(gathered)
            if coming is not None:
                alone = ((at, summary(at if counted is None else [at])) for at in coming)
                value = Kept.waiting(value, [it for it in alone if it[1] is not None])
            if value is not None:
                found[stream] = value
    return found
