"""The segments that are in effect, made ready to be asked about people, and about each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from domain.conditions import Condition, Known, Value
from domain.conditions.people import Named
from domain.core.ledger_time import Since
from domain.evaluation.rule_index import NOTHING, Effective
from domain.evaluation.summaries import Adder, Did, Memory, Numbered, Tags, Trait, memories
from domain.segments.segment import references


class Rule(NamedTuple):
    """Who is in a segment."""

    segment: str
    condition: Condition
    number: int = 0
    """What stands for it where it is kept who is inside: position from which on it was there."""


class Asked(NamedTuple):
    """Since when something is remembered."""

    number: int
    """What stands for its key where values are kept."""

    since: Since


Change = tuple[str, int | None]
"""Key of a memory that one event has changed, and how many are in it by now: see `Condition.can_become`."""


class Changeable(NamedTuple):
    """Places of the segments that somebody may enter, or leave."""

    entered: frozenset[int]
    left: frozenset[int]


class FirstSight(NamedTuple):
    """What is known of somebody's segments by the first that is heard of them."""

    inside: Sequence[int]
    """Places of those that they are in, whoever they are, in their order."""

    ask: frozenset[int]
    """Places of those to ask about."""


class Rules:
    """Segments, those that others ask about first."""

    def __init__(
        self,
        rules: Iterable[Rule],
        asked: Mapping[str, Asked] = {},
        values: Mapping[str, Value] = {},
        effective: Effective = NOTHING,
    ) -> None:
        self.values = values
        """The computed attributes in effect, by name: what they need is remembered, too."""
        self.effective = effective
        """The automation rules that look at the same people."""

        self.rules = _in_order({it.segment: it for it in rules})
        self.answers = [rule.condition.asker() for rule in self.rules]
        """What to ask about each, by its place."""

        self.place = {rule.segment: place for place, rule in enumerate(self.rules)}
        self.numbers = [rule.number for rule in self.rules]
        self.places = {number: place for place, number in enumerate(self.numbers)}
        """Places by number."""

        needs = [list(memories(rule.condition)) for rule in self.rules]
        named = chain.from_iterable(memories(value) for value in values.values())
        asked_for = chain(chain.from_iterable(needs), named, effective.memories)
        self.memories: Mapping[str, Memory] = {it.key: it for it in asked_for}
        self.adders: Mapping[str, Adder] = {k: it.adder() for k, it in self.memories.items()}
        self.asked = asked
        self.told = frozenset(
            key for key, it in self.memories.items() if isinstance(it, (Trait, Tags))
        )
        """Keys of what is remembered of what people are."""

        self.users = dict.fromkeys(self.memories, frozenset[int]()) | _turned(
            [{it.key for it in each} for each in needs]
        )
        """Places of the segments that look at a memory, by its key."""

        self.turning = Changeable(*map(self._turning_into, (True, False)))
        """Whose answers may be others when only time has gone by, and no event's time has come."""

        self.changeable = lru_cache(maxsize=65_536)(self._changeable)
        """Whose answers may be others when one event has changed memories."""

        about = _turned([references(rule.condition) for rule in self.rules])
        self.askers = {self.place[it]: places for it, places in about.items() if it in self.place}
        """Places of the segments that ask about a segment, by its place."""

        self.watching = lru_cache(maxsize=65_536)(self._watching)
        self.adding = lru_cache(maxsize=65_536)(self._adding)
        holding, unsure = self._of_a_stranger()
        self.at_first_sight = holding | unsure
        """Places of those that somebody may be in of whom nothing is remembered."""

        self._unsure = self._with_askers(unsure)
        self._holding = holding - self._unsure
        self.first_sight = lru_cache(maxsize=65_536)(self._first_sight)

    @property
    def asked(self) -> Mapping[str, Asked]:
        """Since when each of the memories is kept, by its key."""
        return self._asked

    @asked.setter
    def asked(self, asked: Mapping[str, Asked]) -> None:
        self._asked = asked
        numbers = {key: it.number for key, it in asked.items()}
        self.numbered = Numbered(self.memories, numbers, {it: key for key, it in numbers.items()})
        self.newest = max((it.since.by for it in self.asked_after(0).values()), default=0)
        """Position of the last decision for which something that people do has to be remembered."""

    def asked_after(self, position: int) -> Mapping[str, Asked]:
        """Return what of the things that people do is remembered only since some later position."""
        looking = (key for key, it in self.memories.items() if it.names is None or it.names)
        return {
            key: self._asked[key]
            for key in looking
            if key in self._asked and self._asked[key].since.by > position
        }

    def __len__(self) -> int:
        return len(self.rules)

    def _watching(self, kind: str, name: str) -> Sequence[str]:
        """Return the keys of the memories that look at messages of a kind and name."""
        return [
            key
            for key, memory in self.memories.items()
            if memory.kind in (None, kind) and memory.watches(name)
        ]

    def _adding(self, kind: str, name: str) -> Sequence[tuple[str, Adder]]:
        """Return these keys, each with what adds a message to what is remembered."""
        return [(key, self.adders[key]) for key in self.watching(kind, name)]

    def _changeable(self, *changes: Change) -> Changeable:
        found = (self._changed_by(*it) for it in changes)
        entered, left = zip(*found, strict=True) if changes else ((), ())
        return Changeable(frozenset().union(*entered), frozenset().union(*left))

    def _changed_by(self, key: str, size: int | None) -> Changeable:
        places = self.users[key]
        if not isinstance(self.memories[key], Did):
            return Changeable(places, places)
        entered, left = (
            frozenset(it for it in places if self.rules[it].condition.can_become(answer, key, size))
            for answer in (True, False)
        )
        return Changeable(entered, left)

    def _turning_into(self, answer: bool) -> frozenset[int]:
        every = enumerate(self.rules)
        return frozenset(place for place, it in every if answer in it.condition.turns)

    def _of_a_stranger(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the places of those that hold of somebody who did and is nothing, and of those that may.

        The first hold at whatever clock.
        """
        holding, unsure = set[str](), set[str]()
        stranger = Known({}, in_segment=lambda segment: segment in holding)
        for rule, answer in zip(self.rules, self.answers, strict=True):
            holds, changes_at = answer(stranger, 0)
            asked = references(rule.condition)
            if changes_at is not None or asked & unsure or _asks_for_names(rule.condition):
                unsure.add(rule.segment)
            elif holds:
                holding.add(rule.segment)
        return self._places(holding), self._places(unsure)

    def _places(self, segments: Iterable[str]) -> frozenset[int]:
        return frozenset(self.place[it] for it in segments)

    def _first_sight(self, *changes: Change) -> FirstSight:
        entered, left = self._changeable(*changes)
        asked = self._with_askers((entered - self._holding) | (left & self._holding))
        return FirstSight(sorted(self._holding - asked), asked | self._unsure)

    def _with_askers(self, places: frozenset[int]) -> frozenset[int]:
        """Return the places, with those of all segments that ask about them, or about those."""
        while more := frozenset().union(*(self.askers.get(it, ()) for it in places)) - places:
            places |= more
        return places


def _in_order(rules: Mapping[str, Rule]) -> Sequence[Rule]:
    """Return the rules so that each comes after those that it asks about."""
    ordered: dict[str, Rule] = {}

    def put(rule: Rule) -> None:
        if rule.segment not in ordered:
            for other in sorted(references(rule.condition) & rules.keys()):
                put(rules[other])
            ordered[rule.segment] = rule

    for segment in sorted(rules):
        put(rules[segment])
    return list(ordered.values())


def _turned(sets: Sequence[Iterable[str]]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for place, each in enumerate(sets):
        for key in each:
            found.setdefault(key, set()).add(place)
    return {key: frozenset(places) for key, places in found.items()}


def _asks_for_names(condition: Condition) -> bool:
    return isinstance(condition, Named) or any(map(_asks_for_names, condition.parts))
