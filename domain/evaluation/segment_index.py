"""The segments that are in effect, made ready to be asked about people, and about each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from domain.conditions import Condition, EvaluationInput, ReferencedValue
from domain.conditions.profile_facts import IdentifierCondition
from domain.core.ledger_time import Cause
from domain.evaluation.accumulators import (
    Accumulator,
    AccumulatorCodec,
    AddFunction,
    AttributeAccumulator,
    EventAccumulator,
    TagAccumulator,
    required_accumulators,
)
from domain.evaluation.rule_index import NO_RULES, RuleIndex
from domain.segments.segment import referenced_segments


class CompiledSegment(NamedTuple):
    """Who is in a segment."""

    id: str
    condition: Condition
    stored_id: int = 0
    """What stands for it where it is kept who is inside: position from which on it was there."""


class Registration(NamedTuple):
    """Since when something is remembered."""

    stored_id: int
    """What stands for its key where values are kept."""

    since: Cause


AccumulatorChange = tuple[str, int | None]
"""Key of a memory that one event has changed, and how many are in it by now: see `Condition.can_become`."""


class AffectedSegments(NamedTuple):
    """Places of the segments that somebody may enter, or leave."""

    may_enter: frozenset[int]
    may_leave: frozenset[int]


class NewProfileSegments(NamedTuple):
    """What is known of somebody's segments by the first that is heard of them."""

    member_of: Sequence[int]
    """Places of those that they are in, whoever they are, in their order."""

    to_evaluate: frozenset[int]
    """Places of those to ask about."""


class SegmentIndex:
    """Segments, those that others ask about first."""

    def __init__(
        self,
        segments: Iterable[CompiledSegment],
        registrations: Mapping[str, Registration] = {},
        computed_attributes: Mapping[str, ReferencedValue] = {},
        rule_index: RuleIndex = NO_RULES,
    ) -> None:
        self.computed_attributes = computed_attributes
        """The computed attributes in effect, by name: what they need is remembered, too."""
        self.rule_index = rule_index
        """The automation rules that look at the same people."""

        self.segments = _topological_order({it.id: it for it in segments})
        self.predicates = [rule.condition.compile() for rule in self.segments]
        """What to ask about each, by its place."""

        self.ordinal_of = {rule.id: place for place, rule in enumerate(self.segments)}
        self.stored_ids = [rule.stored_id for rule in self.segments]
        self.ordinal_of_stored_id = {number: place for place, number in enumerate(self.stored_ids)}
        """Places by number."""

        required = [list(required_accumulators(rule.condition)) for rule in self.segments]
        of_computed_attributes = chain.from_iterable(
            required_accumulators(value) for value in computed_attributes.values()
        )
        all_required = chain(
            chain.from_iterable(required), of_computed_attributes, rule_index.accumulators
        )
        self.accumulators: Mapping[str, Accumulator] = {it.key: it for it in all_required}
        self.add_functions: Mapping[str, AddFunction] = {
            k: it.make_add() for k, it in self.accumulators.items()
        }
        self.registrations = registrations
        self.profile_fact_keys = frozenset(
            key
            for key, it in self.accumulators.items()
            if isinstance(it, (AttributeAccumulator, TagAccumulator))
        )
        """Keys of what is remembered of what people are."""

        self.readers = dict.fromkeys(self.accumulators, frozenset[int]()) | _inverted(
            [{it.key for it in each} for each in required]
        )
        """Places of the segments that look at a memory, by its key."""

        self.time_sensitive = AffectedSegments(*map(self._flipping_with_time_to, (True, False)))
        """Whose answers may be others when only time has gone by, and no event's time has come."""

        self.affected_by = lru_cache(maxsize=65_536)(self._affected_by)
        """Whose answers may be others when one event has changed memories."""

        readers_of_segment = _inverted(
            [referenced_segments(rule.condition) for rule in self.segments]
        )
        self.dependents = {
            self.ordinal_of[it]: places
            for it, places in readers_of_segment.items()
            if it in self.ordinal_of
        }
        """Places of the segments that ask about a segment, by its place."""

        self.keys_for = lru_cache(maxsize=65_536)(self._keys_for)
        self.add_functions_for = lru_cache(maxsize=65_536)(self._add_functions_for)
        matching, undecided = self._evaluate_empty_profile()
        self.always_evaluate = matching | undecided
        """Places of those that somebody may be in of whom nothing is remembered."""

        self._undecided = self._with_dependents(undecided)
        self._matching = matching - self._undecided
        self.for_new_profile = lru_cache(maxsize=65_536)(self._for_new_profile)

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """Since when each of the memories is kept, by its key."""
        return self._registrations

    @registrations.setter
    def registrations(self, asked: Mapping[str, Registration]) -> None:
        self._registrations = asked
        numbers = {key: it.stored_id for key, it in asked.items()}
        self.codec = AccumulatorCodec(
            self.accumulators, numbers, {it: key for key, it in numbers.items()}
        )
        self.newest_registration = max(
            (it.since.position for it in self.registered_after(0).values()), default=0
        )
        """Position of the last decision for which something that people do has to be remembered."""

    def registered_after(self, position: int) -> Mapping[str, Registration]:
        """Return what of the things that people do is remembered only since some later position."""
        looking = (key for key, it in self.accumulators.items() if it.names is None or it.names)
        return {
            key: self._registrations[key]
            for key in looking
            if key in self._registrations and self._registrations[key].since.position > position
        }

    def __len__(self) -> int:
        return len(self.segments)

    def _keys_for(self, kind: str, name: str) -> Sequence[str]:
        """Return the keys of the memories that look at messages of a kind and name."""
        return [
            key
            for key, memory in self.accumulators.items()
            if memory.kind in (None, kind) and memory.watches(name)
        ]

    def _add_functions_for(self, kind: str, name: str) -> Sequence[tuple[str, AddFunction]]:
        """Return these keys, each with what adds a message to what is remembered."""
        return [(key, self.add_functions[key]) for key in self.keys_for(kind, name)]

    def _affected_by(self, *changes: AccumulatorChange) -> AffectedSegments:
        affected = (self._affected_by_change(*it) for it in changes)
        entered, left = zip(*affected, strict=True) if changes else ((), ())
        return AffectedSegments(frozenset().union(*entered), frozenset().union(*left))

    def _affected_by_change(self, key: str, size: int | None) -> AffectedSegments:
        readers = self.readers[key]
        if not isinstance(self.accumulators[key], EventAccumulator):
            return AffectedSegments(readers, readers)
        entered, left = (
            frozenset(
                it for it in readers if self.segments[it].condition.can_flip_to(answer, key, size)
            )
            for answer in (True, False)
        )
        return AffectedSegments(entered, left)

    def _flipping_with_time_to(self, answer: bool) -> frozenset[int]:
        every = enumerate(self.segments)
        return frozenset(place for place, it in every if answer in it.condition.flips_with_time)

    def _evaluate_empty_profile(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the places of those that hold of somebody who did and is nothing, and of those that may.

        The first hold at whatever clock.
        """
        matching, undecided = set[str](), set[str]()
        empty_profile = EvaluationInput({}, in_segment=lambda segment: segment in matching)
        for rule, answer in zip(self.segments, self.predicates, strict=True):
            holds, changes_at = answer(empty_profile, 0)
            referenced = referenced_segments(rule.condition)
            if (
                changes_at is not None
                or referenced & undecided
                or _reads_identifiers(rule.condition)
            ):
                undecided.add(rule.id)
            elif holds:
                matching.add(rule.id)
        return self._ordinals_of(matching), self._ordinals_of(undecided)

    def _ordinals_of(self, segments: Iterable[str]) -> frozenset[int]:
        return frozenset(self.ordinal_of[it] for it in segments)

    def _for_new_profile(self, *changes: AccumulatorChange) -> NewProfileSegments:
        entered, left = self._affected_by(*changes)
        to_evaluate = self._with_dependents((entered - self._matching) | (left & self._matching))
        return NewProfileSegments(
            sorted(self._matching - to_evaluate), to_evaluate | self._undecided
        )

    def _with_dependents(self, ordinals: frozenset[int]) -> frozenset[int]:
        """Return the places, with those of all segments that ask about them, or about those."""
        while (
            more := frozenset().union(*(self.dependents.get(it, ()) for it in ordinals)) - ordinals
        ):
            ordinals |= more
        return ordinals


def _topological_order(segments: Mapping[str, CompiledSegment]) -> Sequence[CompiledSegment]:
    """Return the rules so that each comes after those that it asks about."""
    ordered: dict[str, CompiledSegment] = {}

    def put(rule: CompiledSegment) -> None:
        if rule.id not in ordered:
            for other in sorted(referenced_segments(rule.condition) & segments.keys()):
                put(segments[other])
            ordered[rule.id] = rule

    for segment in sorted(segments):
        put(segments[segment])
    return list(ordered.values())


def _inverted(sets: Sequence[Iterable[str]]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for place, each in enumerate(sets):
        for key in each:
            found.setdefault(key, set()).add(place)
    return {key: frozenset(places) for key, places in found.items()}


def _reads_identifiers(condition: Condition) -> bool:
    return isinstance(condition, IdentifierCondition) or any(
        map(_reads_identifiers, condition.parts)
    )
