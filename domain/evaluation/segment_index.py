"""Index of the compiled segments of a workspace, by what can change their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Self

from domain.conditions import ReferencedValue
from domain.conditions.accumulators import Accumulator, AddFunction
from domain.evaluation.impact import (
    AffectedSegments,
    ImpactCache,
    evaluate_empty_profile,
    time_sensitive_segments,
)
from domain.evaluation.registrations import Registration, Registrations
from domain.evaluation.rule_index import NO_RULES, RuleIndex
from domain.evaluation.segment_order import CompiledSegment, SegmentOrder, inverted


class MessageReaders:
    """The accumulators that read a message, remembered by its kind and name."""

    def __init__(self, accumulators: Mapping[str, Accumulator]) -> None:
        self._accumulators = accumulators
        self._add_functions = {
            key: accumulator.make_add() for key, accumulator in accumulators.items()
        }
        self.keys_for = lru_cache(maxsize=65_536)(self._keys_for)
        """Returns the keys of the accumulators that read messages of a kind and name."""

        self.add_functions_for = lru_cache(maxsize=65_536)(self._add_functions_for)
        """Returns these keys, each with the function that adds a message."""

    def _keys_for(self, kind: str, name: str) -> Sequence[str]:
        return [
            key
            for key, accumulator in self._accumulators.items()
            if accumulator.kind in (None, kind) and accumulator.watches(name)
        ]

    def _add_functions_for(self, kind: str, name: str) -> Sequence[tuple[str, AddFunction]]:
        return [(key, self._add_functions[key]) for key in self.keys_for(kind, name)]


@dataclass(frozen=True, eq=False)
class SegmentIndex:
    """The compiled segments of a workspace, and what can change their results."""

    order: SegmentOrder
    accumulators: Mapping[str, Accumulator]
    """What is accumulated of each stream, by key."""

    readers: Mapping[str, frozenset[int]]
    """Ordinals of the segments that read an accumulator, by its key."""

    profile_fact_keys: frozenset[str]
    """Keys of the accumulators of attributes and tags."""

    time_sensitive: AffectedSegments
    """Segments whose result can change by time alone, ignoring future-dated events."""

    always_evaluate: frozenset[int]
    """Ordinals of the segments that a profile can be in without any accumulated value."""

    computed_attributes: Mapping[str, ReferencedValue]
    """The computed attributes in effect, by name: what they need is accumulated, too."""

    rule_index: RuleIndex
    """The automation rules that run on the same profiles."""

    has_rules: bool
    registrations: Registrations
    impact: ImpactCache
    message_readers: MessageReaders

    @classmethod
    def build(
        cls,
        segments: Iterable[CompiledSegment],
        registrations: Mapping[str, Registration] = {},
        computed_attributes: Mapping[str, ReferencedValue] = {},
        rule_index: RuleIndex = NO_RULES,
    ) -> Self:
        """Compiles segments; ``registrations`` are those of their accumulators, by key."""
        order = SegmentOrder.build(segments)
        required = [[*segment.condition.accumulators()] for segment in order.segments]
        values = (value.accumulators() for value in computed_attributes.values())
        accumulators = {
            accumulator.key: accumulator
            for accumulator in chain(*required, *values, rule_index.accumulators)
        }
        readers = dict.fromkeys(accumulators, frozenset[int]()) | inverted(
            [{accumulator.key for accumulator in of_segment} for of_segment in required]
        )
        empty_profile = evaluate_empty_profile(order)
        return cls(
            order=order,
            accumulators=accumulators,
            readers=readers,
            profile_fact_keys=frozenset(
                key for key, accumulator in accumulators.items() if accumulator.is_profile_fact
            ),
            time_sensitive=time_sensitive_segments(order),
            always_evaluate=empty_profile.matching | empty_profile.undecided,
            computed_attributes=computed_attributes,
            rule_index=rule_index,
            has_rules=bool(rule_index),
            registrations=Registrations.build(accumulators, registrations),
            impact=ImpactCache(order, readers, empty_profile),
            message_readers=MessageReaders(accumulators),
        )

    def with_registrations(self, registrations: Mapping[str, Registration]) -> Self:
        """Returns the index with other registrations of its accumulators, by key."""
        return replace(self, registrations=Registrations.build(self.accumulators, registrations))
