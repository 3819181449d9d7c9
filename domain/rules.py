"""The segments that are in effect, made ready to be asked about people, and about each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from domain.automation.effective import NOTHING, Effective
from domain.conditions import Condition, Known, Value
from domain.conditions.people import Named
from domain.memories import Adder, Did, Memory, Tags, Trait, memories
from domain.segment import references


class Rule(NamedTuple):
    """Who is in a segment."""

    segment: str
    condition: Condition
    number: int = 0
    """What stands for it where it is kept who is inside: position from which on it was there."""


class Rules:
    """Segments, those that others ask about first."""

    def __init__(
        self,
        rules: Iterable[Rule],
        numbers: Mapping[str, int] = {},
        values: Mapping[str, Value] = {},
        effective: Effective = NOTHING,
    ) -> None:
        self.values = values
        """The computed attributes in effect, by name: what they need is remembered, too."""
        self.effective = effective
        """The automation rules that look at the same people."""

        self.rules = _in_order({it.segment: it for it in rules})
        self.place = {rule.segment: place for place, rule in enumerate(self.rules)}
        self.places = {rule.number: place for place, rule in enumerate(self.rules)}
        """Places by number."""

        needs = [list(memories(rule.condition)) for rule in self.rules]
        named = chain.from_iterable(memories(value) for value in values.values())
        asked_for = chain(chain.from_iterable(needs), named, effective.memories)
        self.memories: Mapping[str, Memory] = {it.key: it for it in asked_for}
        self.adders: Mapping[str, Adder] = {k: it.adder() for k, it in self.memories.items()}
        self.numbers = numbers
        self.told = [key for key, it in self.memories.items() if isinstance(it, (Trait, Tags))]
        """Keys of what is remembered of what people are."""

        self.users = dict.fromkeys(self.memories, frozenset[int]()) | _turned(
            [{it.key for it in each} for each in needs]
        )
        """Places of the segments that look at a memory, by its key."""

        self.entered, self.left = (self._after_events(it) for it in (True, False))
        """Places of those that somebody may enter, or leave, when an event changes a memory, by its key."""

        asked = _turned([references(rule.condition) for rule in self.rules])
        self.askers = {self.place[it]: places for it, places in asked.items() if it in self.place}
        """Places of the segments that ask about a segment, by its place."""

        self.watching = lru_cache(maxsize=65_536)(self._watching)
        self.at_first_sight = self._holding_of_a_stranger() | frozenset(
            place for place, it in enumerate(self.rules) if _asks_for_names(it.condition)
        )
        """Places of those that somebody may be in of whom nothing is remembered."""

    @property
    def numbers(self) -> Mapping[str, int]:
        """What stands for each of the keys where values are kept."""
        return self._numbers

    @numbers.setter
    def numbers(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self.keys = {number: key for key, number in numbers.items()}

    def __len__(self) -> int:
        return len(self.rules)

    def _watching(self, kind: str, name: str) -> Sequence[str]:
        """Return the keys of the memories that look at messages of a kind and name."""
        return [
            key
            for key, memory in self.memories.items()
            if memory.kind in (None, kind) and memory.watches(name)
        ]

    def _after_events(self, answer: bool) -> Mapping[str, frozenset[int]]:
        return {
            key: frozenset(
                it
                for it in places
                if not isinstance(self.memories[key], Did)
                or answer in self.rules[it].condition.events_make_it
            )
            for key, places in self.users.items()
        }

    def _holding_of_a_stranger(self) -> frozenset[int]:
        """Return the places of those that hold of somebody who did and is nothing, at whatever clock."""
        holding, changing = set[str](), set[str]()
        stranger = Known({}, in_segment=lambda segment: segment in holding)
        for rule in self.rules:
            holds, changes_at = rule.condition.answer(stranger, 0)
            if holds:
                holding.add(rule.segment)
            if changes_at is not None or references(rule.condition) & changing:
                changing.add(rule.segment)
        return frozenset(self.place[it] for it in holding | changing)


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
