"""How a decision settles: what was looked back for is remembered, and whom it may concern is asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Known
from domain.known import Stream
from domain.membership import Household, Since
from domain.rules import Rules
from domain.segment import references
from projections.segments import saved, stored
from projections.segments.backfill import Filled
from projections.segments.stored import Kept
from projections.segments.tables import stay, stream

AT_ONCE = 5_000
"""Persons who are asked about together."""

_EVERYBODY = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %s"

_CONCERNED = f"""
SELECT person FROM {stream} WHERE workspace = %s AND stream = ANY(%b)
UNION SELECT person FROM {stay} WHERE workspace = %s AND segment = ANY(%s) AND left_at IS NULL
"""


class Changed(NamedTuple):
    """What is in effect after a decision."""

    rules: Rules
    at: Since
    filled: Filled
    """What was looked back for, and is remembered from now on."""


def settle(tx: Connection, workspace: int, after: Changed, places: Collection[int]) -> None:
    """Remember what was looked back for, and ask whom it may concern whether they are in segments."""
    rules = after.rules
    plain = not _may_concern_everybody(after, places) and not rules.told.intersection(after.filled)
    persons = iter(_persons(tx, workspace, after, places))
    while some := list(islice(persons, AT_ONCE)):
        kept = stored.load(tx, workspace, rules, stored.streams_of(tx, workspace, (), some))
        households, unmoved = list[Household](), list[tuple[UUID, Stream]]()
        for person, ids in stored.by_person(kept).items():
            if plain and len(ids) == 1 and _stays_out(after, places, kept, person, ids[0]):
                unmoved.append((ids[0], kept.streams[ids[0]]))
            else:
                household = stored.household(rules, kept, ids)
                household.look_back(after.filled, places, after.at)
                households.append(household)
        saved.save(tx, workspace, rules, kept, households)
        saved.save_memories(tx, workspace, rules, kept.remembered, unmoved)


def _stays_out(
    after: Changed, places: Collection[int], kept: Kept, person: UUID, id_: UUID
) -> bool:
    """Say whether somebody of one name is in none of the segments, was not, and will not be by itself.

    Then what was looked back for is all that there is to remember, and no household needs to be made:
    of most people it is so, and takes half the time.
    """
    values = {key: it[id_] for key, it in after.filled.items() if id_ in it}
    known, clock, answers = Known(values), after.at.at, after.rules.answers
    if any(answers[it](known, clock) != (False, None) for it in places):
        return False
    standing = kept.standings.get(person)
    if standing is not None and not standing.inside.keys().isdisjoint(places):
        return False
    for key, value in values.items():
        kept.streams[id_].remember(key, value, clock)
    return True


def _persons(
    tx: Connection, workspace: int, after: Changed, places: Collection[int]
) -> Sequence[UUID]:
    rules = after.rules
    if _may_concern_everybody(after, places):
        people = tx.exec_driver_sql(_EVERYBODY, (workspace,))
    else:
        segments = [rules.rules[it].segment for it in sorted(places)]
        found = list(set[UUID]().union(*after.filled.values()))
        people = tx.exec_driver_sql(_CONCERNED, (workspace, found, workspace, segments))
    return stored.in_order(people.scalars())


def _may_concern_everybody(after: Changed, places: Collection[int]) -> bool:
    rules = after.rules
    keys = {key for key, users in rules.users.items() if not users.isdisjoint(places)}
    # Who has a memory that was there before is known only by looking at everybody.
    return bool(
        not rules.at_first_sight.isdisjoint(places)
        or any(references(rules.rules[it].condition) for it in places)
        or keys - after.filled.keys()
    )
