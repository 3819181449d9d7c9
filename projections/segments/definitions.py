"""What was decided about segments, and how a decision takes effect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Engine, text

from domain import conditions
from domain.conditions import Condition
from domain.conditions.people import Handpicked
from domain.conditions.times import microseconds
from domain.events import SegmentArchived, SegmentDefined
from domain.membership import Since
from domain.recorded import Recorded
from domain.rules import Rule, Rules
from domain.segment import references
from projections.segments import backfill, stored
from projections.segments.tables import definition, memory, stay, stream, timer

AT_ONCE = 5_000
"""Persons who are asked about together."""

_LAST = f"SELECT coalesce(max(position), 0) FROM {definition} WHERE workspace = %s"

_IN_EFFECT = f"""
SELECT segment, condition FROM {definition}
WHERE workspace = %s AND until IS NULL AND NOT archived
"""

_REPLACE = text(f"""
UPDATE {definition} SET until = :position
WHERE workspace = :workspace AND segment = :segment AND until IS NULL
""")

_ADD = text(f"""
INSERT INTO {definition} SELECT :workspace, :segment, :position, :version, :at, NULL, :archived,
    :name, :description, :condition, :actor, :reason
""")

_LAST_WORDS = f"""
SELECT name, description, condition FROM {definition}
WHERE workspace = %s AND segment = %s AND until IS NULL
"""

_END = text(f"""
UPDATE {stay} SET left_at = :at, left_by = :position
WHERE workspace = :workspace AND segment = :segment AND left_at IS NULL
""")

_DROP_TIMERS = text(f"DELETE FROM {timer} WHERE workspace = :workspace AND segment = :segment")

_EVERYBODY = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %(workspace)s"

_CONCERNED = f"""
SELECT person FROM {memory} AS known JOIN {stream} AS theirs USING (workspace, stream)
WHERE workspace = %(workspace)s AND known.memory = ANY(%(memories)s)
UNION SELECT person FROM {stay}
    WHERE workspace = %(workspace)s AND segment = %(segment)s AND left_at IS NULL
UNION SELECT person FROM {timer} WHERE workspace = %(workspace)s AND segment = %(segment)s
"""


class _Seen(NamedTuple):
    last: int
    rules: Rules


_seen: WeakKeyDictionary[Engine, dict[int, _Seen]] = WeakKeyDictionary()


def in_effect(tx: Connection, workspace: int) -> Rules:
    """Return the segments of a workspace as they were last decided."""
    last = int(tx.exec_driver_sql(_LAST, (workspace,)).scalar_one())
    seen = _seen.setdefault(tx.engine, {})
    if workspace not in seen or seen[workspace].last != last:
        rows = tx.exec_driver_sql(_IN_EFFECT, (workspace,)).all()
        seen[workspace] = _Seen(last, Rules(Rule(it, condition_of(it, said)) for it, said in rows))
    return seen[workspace].rules


def condition_of(segment: str, said: bytes) -> Condition:
    """Return the condition of a segment; one that nobody said is a list kept by hand."""
    return conditions.read(msgspec.json.decode(said)) if said else Handpicked(segment)


def decide(
    tx: Connection, workspace: int, recorded: Recorded, event: SegmentDefined | SegmentArchived
) -> Rules:
    """Let a decision take effect at its position, and return the segments as they are then."""
    before = in_effect(tx, workspace)
    _keep(tx, workspace, recorded, event)
    after = in_effect(tx, workspace)
    at = Since(microseconds(recorded.recorded_at), recorded.position)
    stored.forget_memories(tx, workspace, before.memories.keys() - after.memories.keys())
    new = [after.memories[it] for it in sorted(after.memories.keys() - before.memories.keys())]
    backfill.fill(tx, workspace, new, at)
    if isinstance(event, SegmentArchived):
        _end(tx, workspace, event.segment, at)
    else:
        _settle(tx, workspace, after, event.segment, at)
    return after


def _keep(
    tx: Connection, workspace: int, recorded: Recorded, event: SegmentDefined | SegmentArchived
) -> None:
    row = {
        "workspace": workspace,
        "segment": event.segment,
        "position": recorded.position,
        "version": recorded.version,
        "at": microseconds(recorded.recorded_at),
        "archived": isinstance(event, SegmentArchived),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, SegmentDefined):
        said = (event.name, event.description, event.condition)
    else:
        last = tx.exec_driver_sql(_LAST_WORDS, (workspace, event.segment)).first()
        said = (event.segment, "", b"") if last is None else tuple(last)
    tx.execute(_REPLACE, row)
    tx.execute(_ADD, row | dict(zip(("name", "description", "condition"), said, strict=True)))


def _end(tx: Connection, workspace: int, segment: str, at: Since) -> None:
    """Let everybody leave."""
    asked = {"workspace": workspace, "segment": segment, "at": at.at, "position": at.by}
    tx.execute(_END, asked)
    tx.execute(_DROP_TIMERS, asked)


def _settle(tx: Connection, workspace: int, rules: Rules, segment: str, at: Since) -> None:
    """Ask of everybody whom it may concern whether they are in the segment now."""
    place = rules.place[segment]
    persons = iter(_persons(tx, workspace, rules, segment))
    while some := list(islice(persons, AT_ONCE)):
        kept = stored.load(tx, workspace, rules, stored.streams_of(tx, workspace, (), some))
        households = stored.by_person(rules, kept)
        for person, household in households.items():
            household.settle(person, (place,), at)
        stored.save(tx, workspace, rules, kept, list(households.values()))


def _persons(tx: Connection, workspace: int, rules: Rules, segment: str) -> Sequence[UUID]:
    place = rules.place[segment]
    condition = rules.rules[place].condition
    everybody = place in rules.at_first_sight or references(condition)
    keys = [key for key, users in rules.users.items() if place in users]
    asked = {
        "workspace": workspace,
        "segment": segment,
        "memories": [stored.memory_id(it) for it in keys],
    }
    found = tx.exec_driver_sql(_EVERYBODY if everybody else _CONCERNED, asked)
    return sorted(found.scalars())
