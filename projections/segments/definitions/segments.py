"""What was decided about segments, and how a decision takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Engine, text

from domain import conditions
from domain.conditions import Condition
from domain.conditions import Value as Named
from domain.conditions.people import Handpicked
from domain.core.ledger_time import Since
from domain.core.time import to_micros
from domain.evaluation.segment_index import Asked, Rule, Rules
from domain.events.events import (
    AttributeArchived,
    AttributeDefined,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.recorded import Recorded
from projections.segments.definitions import active_rules, attributes
from projections.segments.definitions.definition_change import Changed, begin, settle
from projections.segments.tables import attribute, definition, member, remembered, rule, stay

MOST_MEMORIES = 100_000
"""More than one condition can ask for: it has at most as many bytes."""

_LAST = f"""
SELECT coalesce(greatest(
    (SELECT max(position) FROM {definition} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {attribute} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {rule} WHERE workspace = %(workspace)s)
), 0)
"""

_IN_EFFECT = f"""
SELECT segment, condition, since FROM {definition}
WHERE workspace = %s AND until IS NULL AND NOT archived
"""

_ASKED = f"SELECT key, number, at, by FROM {remembered} WHERE workspace = %s"

_REMEMBER = text(f"INSERT INTO {remembered} VALUES (:workspace, :number, :key, :at, :by)")

_FORGET = text(f"DELETE FROM {remembered} WHERE workspace = :workspace AND number = ANY(:numbers)")

_REPLACE = text(f"""
UPDATE {definition} SET until = :position
WHERE workspace = :workspace AND segment = :segment AND until IS NULL
""")

_ADD = text(f"""
INSERT INTO {definition} SELECT :workspace, :segment, :position, :version, :at, :since, NULL, :archived,
    :name, :description, :condition, :actor, :reason
""")

_LAST_WORDS = f"""
SELECT name, description, condition, since, archived FROM {definition}
WHERE workspace = %s AND segment = %s AND until IS NULL
"""

_END = text(f"""
WITH ended AS (
    DELETE FROM {member} WHERE workspace = :workspace AND segment = :segment RETURNING *
)
INSERT INTO {stay} SELECT *, :at, :position FROM ended
""")

Decided = SegmentDefined | SegmentArchived | AttributeDefined | AttributeArchived


class _Seen(NamedTuple):
    last: int
    rules: Rules


_seen: WeakKeyDictionary[Engine, dict[int, _Seen]] = WeakKeyDictionary()


def in_effect(tx: Connection, workspace: int) -> Rules:
    """Return the segments, computed attributes and rules of a workspace as they were last decided."""
    last = int(tx.exec_driver_sql(_LAST, {"workspace": workspace}).scalar_one())
    of = _seen.setdefault(tx.engine, {})
    seen = of.get(workspace)
    if seen is None or seen.last != last:
        rows = tx.exec_driver_sql(_ASKED, (workspace,))
        asked = {key: Asked(number, Since(at, by)) for key, number, at, by in rows}
        seen = of[workspace] = _Seen(last, _rules(tx, workspace, asked))
    return seen.rules


def condition_of(segment: str, said: bytes, values: Mapping[str, Named]) -> Condition:
    """Return the condition of a segment; one that nobody said is a list kept by hand."""
    return conditions.resolved(_read(said), values) if said else Handpicked(segment)


@lru_cache(maxsize=4_096)
def _read(said: bytes) -> Condition:
    return conditions.read(msgspec.json.decode(said), by_name=True)


def decide(tx: Connection, workspace: int, recorded: Recorded, event: Decided) -> Rules:
    """Let a decision take effect at its position, and return the segments as they are then.

    What a computed attribute is from then on is asked anew in every segment that asks about it by name.
    """
    before = in_effect(tx, workspace)
    if isinstance(event, AttributeDefined | AttributeArchived):
        attributes.keep(tx, workspace, recorded, event)
    else:
        _keep(tx, workspace, recorded, event)
    after = change(tx, workspace, before, recorded)
    if isinstance(event, SegmentArchived):
        _end(tx, workspace, event.segment, after.at)
    elif isinstance(event, SegmentDefined):
        place = after.rules.place[event.segment]
        if event.segment in before.place:
            settle(tx, workspace, after, {place})
        else:
            begin(tx, workspace, after, place)
    else:
        spelt = {it.segment: _spelt(it) for it in before.rules}
        changed = (_spelt(it) != spelt[it.segment] for it in after.rules.rules)
        settle(tx, workspace, after, {place for place, it in enumerate(changed) if it})
    return after.rules


def change(tx: Connection, workspace: int, before: Rules, recorded: Recorded) -> Changed:
    """Let what was decided be in effect."""
    at = Since(to_micros(recorded.recorded_at), recorded.position)
    after = _rules(tx, workspace)
    after.asked = _remember(tx, workspace, before, after, at)
    _seen[tx.engine][workspace] = _Seen(recorded.position, after)
    return Changed(after, at, sorted(after.memories.keys() - before.memories.keys()))


def _spelt(rule: Rule) -> bytes:
    """Return a rule's condition as text, for 1 equals True and is something else."""
    return msgspec.json.encode(rule.condition)


def _rules(tx: Connection, workspace: int, asked: Mapping[str, Asked] = {}) -> Rules:
    values = attributes.in_effect(tx, workspace)
    rows = tx.exec_driver_sql(_IN_EFFECT, (workspace,)).all()
    rules = (Rule(it, condition_of(it, said, values), since) for it, said, since in rows)
    return Rules(rules, asked, values, active_rules.rules(tx, workspace))


def _remember(
    tx: Connection, workspace: int, before: Rules, after: Rules, at: Since
) -> Mapping[str, Asked]:
    """Give numbers to what is remembered from now on, take those of what is not; return them all."""
    gone = before.memories.keys() - after.memories.keys()
    new = sorted(after.memories.keys() - before.memories.keys())
    made = {key: Asked(at.by * MOST_MEMORIES + place, at) for place, key in enumerate(new)}
    if gone:
        numbers = sorted(before.numbered.numbers[it] for it in gone)
        tx.execute(_FORGET, {"workspace": workspace, "numbers": numbers})
    if made:
        rows = [
            {"workspace": workspace, "number": it.number, "key": key, **at._asdict()}
            for key, it in made.items()
        ]
        tx.execute(_REMEMBER, rows)
    return {key: it for key, it in before.asked.items() if key not in gone} | made


def _keep(
    tx: Connection, workspace: int, recorded: Recorded, event: SegmentDefined | SegmentArchived
) -> None:
    last = tx.exec_driver_sql(_LAST_WORDS, (workspace, event.segment)).first()
    was_there = last is not None and not last.archived
    row = {
        "workspace": workspace,
        "segment": event.segment,
        "position": recorded.position,
        "version": recorded.version,
        "at": to_micros(recorded.recorded_at),
        "since": last.since if last is not None and was_there else recorded.position,
        "archived": isinstance(event, SegmentArchived),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, SegmentDefined):
        said = (event.name, event.description, event.condition)
    else:
        said = (event.segment, "", b"") if last is None else tuple(last)[:3]
    tx.execute(_REPLACE, row)
    tx.execute(_ADD, row | dict(zip(("name", "description", "condition"), said, strict=True)))


def _end(tx: Connection, workspace: int, segment: str, at: Since) -> None:
    """Let everybody leave."""
    asked = {"workspace": workspace, "segment": segment, "at": at.at, "position": at.by}
    tx.execute(_END, asked)
