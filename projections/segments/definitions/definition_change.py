"""How a decision settles: whom it may concern is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Known
from domain.core.ledger_time import Since
from domain.evaluation.profile_context import Stream
from domain.evaluation.segment_index import Rules
from domain.segments.segment import references
from projections.segments.backfill import bulk, sql
from projections.segments.backfill.sql import Filled
from projections.segments.state import reader, writer
from projections.segments.tables import member, stream

_PEOPLE = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %s AND stream = ANY(%b)"

_MEMBERS = f"""
SELECT DISTINCT person FROM {member} WHERE workspace = %s AND segment = ANY(%s)
"""


class Changed(NamedTuple):
    """What is in effect after a decision."""

    rules: Rules
    at: Since
    new: Sequence[str]
    """Keys of what is remembered from now on."""


def begin(tx: Connection, workspace: int, after: Changed, place: int) -> None:
    """Ask about a segment that was not there before: of most people the server can tell at once."""
    rules, rule = after.rules, after.rules.rules[place]
    set_off = [rules.effective.set_off_by(it, rule.segment) for it in ("entered", "left")]
    concerns_others = place in rules.askers or any(set_off)
    members = None if concerns_others else bulk.members_of(rule.condition, after.at.at)
    if members is None:
        settle(tx, workspace, after, {place})
        return
    sql.check(tx, workspace, after.at.by)
    unsure = reader.in_order(members.enter(tx, workspace, rule, after.at))
    writer.change(tx, workspace, rules, unsure, lambda it: it.decide({place}, after.at))


def settle(tx: Connection, workspace: int, after: Changed, places: Collection[int]) -> None:
    """Ask whom it may concern whether they are in segments that were decided about."""
    if not places:
        return
    rules, new = after.rules, [after.rules.memories[it] for it in after.new]
    looked = sql.fill(tx, workspace, new, after.at)
    segments = [rules.rules[it].segment for it in sorted(places)]
    everybody = _may_concern_everybody(after, places)
    if everybody:
        members, persons = frozenset[UUID](), frozenset(reader.everybody(tx, workspace))
    else:
        found = list(set[UUID]().union(*looked.values()))
        members = frozenset(tx.exec_driver_sql(_MEMBERS, (workspace, segments)).scalars())
        persons = members.union(tx.exec_driver_sql(_PEOPLE, (workspace, found)).scalars())
    plain = not everybody and rules.told.isdisjoint(after.new)
    for some in reader.some(reader.in_order(persons)):
        streams = reader.streams_of(tx, workspace, (), some)
        if plain:
            out = _staying_out(after, places, streams, looked)
            streams = {
                id_: it
                for id_, it in streams.items()
                if it.whose.person in members or it.whose.person not in out
            }
        kept = reader.load(tx, workspace, rules, streams, looked)
        people = reader.membership(rules, kept)
        people.decide(places, after.at)
        writer.save(tx, workspace, rules, kept, people)


def _staying_out(
    after: Changed, places: Collection[int], streams: Mapping[UUID, Stream], filled: Filled
) -> set[UUID]:
    """Return who of one name is in none of the segments, and will not be by itself.

    Of most people it is so; what was looked up of them is looked up again when they are next met.
    """
    answers, clock = [after.rules.answers[it] for it in places], after.at.at
    names, out = Counter(it.whose.person for it in streams.values()), set[UUID]()
    for id_, it in streams.items():
        known = Known({key: values[id_] for key, values in filled.items() if id_ in values})
        person = it.whose.person
        if names[person] == 1 and all(ask(known, clock) == (False, None) for ask in answers):
            out.add(person)
    return out


def _may_concern_everybody(after: Changed, places: Collection[int]) -> bool:
    rules = after.rules
    keys = {key for key, users in rules.users.items() if not users.isdisjoint(places)}
    # Who has a memory that was there before is known only by looking at everybody.
    return bool(
        not rules.at_first_sight.isdisjoint(places)
        or any(references(rules.rules[it].condition) for it in places)
        or keys.difference(after.new)
    )
