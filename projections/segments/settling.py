"""How a decision settles: what was looked back for is remembered, and whom it may concern is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Known
from domain.known import Stream
from domain.membership import Household, Since
from domain.memories import Value
from domain.rules import Rules
from domain.segment import references
from domain.standing import Standing
from projections.segments import saved, stored
from projections.segments.backfill import Filled
from projections.segments.tables import stay, stream

AT_ONCE = 5_000
"""Persons who are asked about together."""

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

    def of(self, stream: UUID) -> dict[str, Value]:
        """Return what was looked back for of a stream, by key."""
        return {key: values[stream] for key, values in self.filled.items() if stream in values}


def settle(tx: Connection, workspace: int, after: Changed, places: Collection[int]) -> None:
    """Remember what was looked back for, and ask whom it may concern whether they are in segments."""
    everybody = _may_concern_everybody(after, places)
    plain = not everybody and not after.rules.told.intersection(after.filled)
    persons = iter(
        stored.everybody(tx, workspace) if everybody else _concerned(tx, workspace, after, places)
    )
    while some := list(islice(persons, AT_ONCE)):
        kept = stored.load(tx, workspace, after.rules, stored.streams_of(tx, workspace, (), some))
        households, unmoved = list[Household](), dict[UUID, Stream]()
        for person, ids in stored.by_person(kept).items():
            values = after.of(ids[0]) if plain and len(ids) == 1 else None
            if values is not None and _stays_out(after, places, values, kept.standings.get(person)):
                unmoved[ids[0]] = kept.streams[ids[0]]
                for key, value in values.items():
                    unmoved[ids[0]].remember(key, value, after.at.at)
            else:
                household = stored.household(after.rules, kept, ids)
                household.look_back(after.filled, places, after.at)
                households.append(household)
        saved.save(tx, workspace, after.rules, kept, households)
        saved.save_memories(tx, workspace, after.rules, kept.remembered, unmoved.items())


def _stays_out(
    after: Changed, places: Collection[int], values: Mapping[str, Value], standing: Standing | None
) -> bool:
    """Say whether somebody of one name is in none of the segments, was not, and will not be by itself.

    Then what was looked back for is all that there is to remember, and no household needs to be made:
    of most people it is so, and takes half the time.
    """
    if standing is not None and not standing.inside.keys().isdisjoint(places):
        return False
    known, answers = Known(values), after.rules.answers
    return all(answers[it](known, after.at.at) == (False, None) for it in places)


def _concerned(
    tx: Connection, workspace: int, after: Changed, places: Collection[int]
) -> Sequence[UUID]:
    """Return of whom something was looked back for, and who is in the segments."""
    segments = [after.rules.rules[it].segment for it in sorted(places)]
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
