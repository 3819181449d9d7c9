"""Dependency index of the compiled segments: which of them an input can affect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from domain.conditions import Condition, EvaluationInput, ReferencedValue, referenced_segments
from domain.conditions.accumulators import Accumulator, AddFunction
from domain.core.ledger_time import Cause
from domain.evaluation.accumulator_state import AccumulatorCodec
from domain.evaluation.rule_index import NO_RULES, RuleIndex


class CompiledSegment(NamedTuple):
    """A segment as it is evaluated."""

    id: str
    condition: Condition
    stored_id: int = 0
    """Its id in stored memberships: the ledger position of its first definition."""


class Registration(NamedTuple):
    """Since when an accumulator is stored."""

    stored_id: int
    """Replaces the accumulator's key where values are stored."""

    since: Cause


AccumulatorChange = tuple[str, int | None]
"""Key of an accumulator that an event changed, and how many events it has now: see `Condition.can_flip_to`."""


class AffectedSegments(NamedTuple):
    """Ordinals of the segments that a profile may enter, and of those that it may leave."""

    may_enter: frozenset[int]
    may_leave: frozenset[int]


class NewProfileSegments(NamedTuple):
    """Segments of a new profile, after its first event."""

    member_of: Sequence[int]
    """Sorted ordinals of those that every new profile enters: they need no evaluation."""

    to_evaluate: frozenset[int]
    """Ordinals of those that depend on the event."""


class SegmentIndex:
    """Segments in topological order: an ordinal is a segment's index in that order."""

    def __init__(
        self,
        segments: Iterable[CompiledSegment],
        registrations: Mapping[str, Registration] = {},
        computed_attributes: Mapping[str, ReferencedValue] = {},
        rule_index: RuleIndex = NO_RULES,
    ) -> None:
        self.computed_attributes = computed_attributes
        """The computed attributes in effect, by name: what they need is accumulated, too."""

        self.rule_index, self.has_rules = rule_index, bool(rule_index)
        """The automation rules that run on the same profiles, and whether there are any."""

        self.segments = _topological_order({segment.id: segment for segment in segments})
        self.predicates = [segment.condition.compile() for segment in self.segments]
        """Compiled conditions, by ordinal."""

        self.ordinal_of = {segment.id: ordinal for ordinal, segment in enumerate(self.segments)}
        self.stored_ids = [segment.stored_id for segment in self.segments]
        self.ordinal_of_stored_id = {
            stored_id: ordinal for ordinal, stored_id in enumerate(self.stored_ids)
        }

        required = [list(segment.condition.accumulators()) for segment in self.segments]
        of_computed_attributes = chain.from_iterable(
            value.accumulators() for value in computed_attributes.values()
        )
        all_required = chain(
            chain.from_iterable(required), of_computed_attributes, rule_index.accumulators
        )
        self.accumulators: Mapping[str, Accumulator] = {
            accumulator.key: accumulator for accumulator in all_required
        }
        self.add_functions: Mapping[str, AddFunction] = {
            key: accumulator.make_add() for key, accumulator in self.accumulators.items()
        }
        self.registrations = registrations
        self.profile_fact_keys = frozenset(
            key for key, accumulator in self.accumulators.items() if accumulator.is_profile_fact
        )
        """Keys of the accumulators of attributes and tags."""

        self.readers = dict.fromkeys(self.accumulators, frozenset[int]()) | _inverted(
            [{accumulator.key for accumulator in accumulators} for accumulators in required]
        )
        """Ordinals of the segments that read an accumulator, by its key."""

        self.time_sensitive = AffectedSegments(*map(self._flipping_with_time_to, (True, False)))
        """Segments whose result can change by time alone, ignoring future-dated events."""

        self.affected_by = lru_cache(maxsize=65_536)(self._affected_by)
        """Returns the segments whose result can change after one event changed accumulators."""

        readers_of_segment = _inverted(
            [referenced_segments(segment.condition) for segment in self.segments]
        )
        self.dependents = {
            self.ordinal_of[segment_id]: ordinals
            for segment_id, ordinals in readers_of_segment.items()
            if segment_id in self.ordinal_of
        }
        """Ordinals of the segments that refer to a segment, by its ordinal."""

        self.keys_for = lru_cache(maxsize=65_536)(self._keys_for)
        """Returns the keys of the accumulators that read messages of a kind and name."""

        self.add_functions_for = lru_cache(maxsize=65_536)(self._add_functions_for)
        """Returns these keys, each with the function that adds a message."""

        matching, undecided = self._evaluate_empty_profile()
        self.always_evaluate = matching | undecided
        """Ordinals of the segments that a profile can be in without any accumulated value."""

        self._undecided = self._with_dependents(undecided)
        self._matching = matching - self._undecided
        self.for_new_profile = lru_cache(maxsize=65_536)(self._for_new_profile)
        """Returns the segments of a profile whose first event changed these accumulators."""

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """Since when each accumulator is stored, by its key."""
        return self._registrations

    @registrations.setter
    def registrations(self, registrations: Mapping[str, Registration]) -> None:
        self._registrations = registrations
        stored_ids = {key: registered.stored_id for key, registered in registrations.items()}
        self.codec = AccumulatorCodec(
            self.accumulators, stored_ids, {id_: key for key, id_ in stored_ids.items()}
        )
        self.newest_registration = max(
            (registered.since.position for registered in self.registered_after(0).values()),
            default=0,
        )
        """Position at which the last accumulator that reads messages was registered."""

    def registered_after(self, position: int) -> Mapping[str, Registration]:
        """Returns the accumulators that read messages and were registered after a position."""
        reading = (
            key
            for key, accumulator in self.accumulators.items()
            if accumulator.names is None or accumulator.names
        )
        return {
            key: self._registrations[key]
            for key in reading
            if key in self._registrations and self._registrations[key].since.position > position
        }

    def __len__(self) -> int:
        return len(self.segments)

    def _keys_for(self, kind: str, name: str) -> Sequence[str]:
        return [
            key
            for key, accumulator in self.accumulators.items()
            if accumulator.kind in (None, kind) and accumulator.watches(name)
        ]

    def _add_functions_for(self, kind: str, name: str) -> Sequence[tuple[str, AddFunction]]:
        return [(key, self.add_functions[key]) for key in self.keys_for(kind, name)]

    def _affected_by(self, *changes: AccumulatorChange) -> AffectedSegments:
        affected = (self._affected_by_change(*change) for change in changes)
        may_enter, may_leave = zip(*affected, strict=True) if changes else ((), ())
        return AffectedSegments(frozenset().union(*may_enter), frozenset().union(*may_leave))

    def _affected_by_change(self, key: str, size: int | None) -> AffectedSegments:
        readers = self.readers[key]
        may_enter, may_leave = (
            frozenset(
                ordinal
                for ordinal in readers
                if self.segments[ordinal].condition.can_flip_to(result, key, size)
            )
            for result in (True, False)
        )
        return AffectedSegments(may_enter, may_leave)

    def _flipping_with_time_to(self, result: bool) -> frozenset[int]:
        return frozenset(
            ordinal
            for ordinal, segment in enumerate(self.segments)
            if result in segment.condition.flips_with_time
        )

    def _evaluate_empty_profile(self) -> tuple[frozenset[int], frozenset[int]]:
        """Returns the segments that match an empty profile, and those that might.

        The first match at any clock.
        """
        matching, undecided = set[str](), set[str]()
        empty_profile = EvaluationInput({}, in_segment=lambda segment: segment in matching)
        for segment, predicate in zip(self.segments, self.predicates, strict=True):
            holds, changes_at = predicate(empty_profile, 0)
            referenced = referenced_segments(segment.condition)
            if (
                changes_at is not None
                or referenced & undecided
                or segment.condition.reads_identifiers
            ):
                undecided.add(segment.id)
            elif holds:
                matching.add(segment.id)
        return self._ordinals_of(matching), self._ordinals_of(undecided)

    def _ordinals_of(self, segment_ids: Iterable[str]) -> frozenset[int]:
        return frozenset(self.ordinal_of[segment_id] for segment_id in segment_ids)

    def _for_new_profile(self, *changes: AccumulatorChange) -> NewProfileSegments:
        may_enter, may_leave = self._affected_by(*changes)
        to_evaluate = self._with_dependents(
            (may_enter - self._matching) | (may_leave & self._matching)
        )
        return NewProfileSegments(
            sorted(self._matching - to_evaluate), to_evaluate | self._undecided
        )

    def _with_dependents(self, ordinals: frozenset[int]) -> frozenset[int]:
        """Returns the ordinals and those of all direct and indirect dependents."""
        while (
            more := frozenset().union(*(self.dependents.get(ordinal, ()) for ordinal in ordinals))
            - ordinals
        ):
            ordinals |= more
        return ordinals


def _topological_order(segments: Mapping[str, CompiledSegment]) -> Sequence[CompiledSegment]:
    """Returns the segments in an order in which each comes after those it refers to."""
    ordered: dict[str, CompiledSegment] = {}

    def add(segment: CompiledSegment) -> None:
        if segment.id not in ordered:
            for other in sorted(referenced_segments(segment.condition) & segments.keys()):
                add(segments[other])
            ordered[segment.id] = segment

    for segment_id in sorted(segments):
        add(segments[segment_id])
    return list(ordered.values())


def _inverted(keys_by_ordinal: Sequence[Iterable[str]]) -> dict[str, frozenset[int]]:
    ordinals_by_key: dict[str, set[int]] = {}
    for ordinal, keys in enumerate(keys_by_ordinal):
        for key in keys:
            ordinals_by_key.setdefault(key, set()).add(ordinal)
    return {key: frozenset(ordinals) for key, ordinals in ordinals_by_key.items()}
