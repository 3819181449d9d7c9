"""What every condition is: something that holds of a person at an instant, and can say why.

Two kinds of leaves.  Some look at what the person *is* (attributes, tags, names, segments).  The others
look at what the person *did*, through a summary: a small value kept for each stream (`keeping`), which joins
with those of the person's other streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.summary import EventView, Summarised, Summary
from domain.conditions.values import format_utc

MANY_EVENTS = 1_000_000
"""More events than any condition counts: how many there are if it is not told."""

EITHER_RESULT, NO_RESULT = frozenset((True, False)), frozenset[bool]()
"""Answers."""

NAME_CACHE_SIZE, MAX_CACHED_NAME_LENGTH = 4_096, 256
"""How many names, and how long ones, a program remembers the answer for."""


def earlier(one: int | None, other: int | None) -> int | None:
    """Return the earlier of two instants, either of which may never come."""
    return one if other is None else other if one is None else min(one, other)


class ProfileFacts(NamedTuple):
    """What a person is."""

    attributes: Mapping[str, Any] = {}
    tags: frozenset[str] = frozenset()
    identifier_kinds: frozenset[str] = frozenset()
    """Kinds of identifier that the person goes by."""


class EvaluationInput(NamedTuple):
    """What is known of a person."""

    summaries: Mapping[str, Summary]
    """By the key of the leaf; joined over the person's streams."""

    load_facts: Callable[[], ProfileFacts] = ProfileFacts
    """Most conditions look at what the person did only, so that it is put together when it is asked for."""

    in_segment: Callable[[str], bool] = lambda _segment: False


EvaluationResult = tuple[bool, int | None]
"""Whether something holds, and when that may change by itself."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that holds of a person at an instant, or not."""

    KEY: ClassVar[str]
    """The member that tells this condition from the others in JSON."""

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that this one is made of; none of a leaf."""
        return ()

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Say whether one more event, remembered under a leaf's key, can have changed the answer to this.

        ``size``: how many there are by now, `SEVERAL` for more than one; None: it is not known.
        """
        return any(it.can_flip_to(result, key, size) for it in self.parts)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The answers to which the clock alone can change this, unless an event's time is still to come."""
        return NO_RESULT.union(*(it.flips_with_time for it in self.parts))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Say whether it holds at the clock, in microseconds since 1970 UTC."""
        raise NotImplementedError

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Return the first instant after the clock at which the answer may change by itself.

        At that very instant `holds` gives the new answer; None: it needs an event to change.
        """
        raise NotImplementedError

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Return what tells both at once of somebody, made ready to be asked of many."""
        holds, changes_at = self.holds, self.changes_at
        return lambda known, clock: (holds(known, clock), changes_at(known, clock))

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Return what the answer rests on, for people to read."""
        raise NotImplementedError

    def explain(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Return the answer, what it rests on, and when it changes by itself."""
        changes = self.changes_at(inputs, clock)
        return {
            "condition": msgspec.to_builtins(self),
            "holds": self.holds(inputs, clock),
            "changes_at": None if changes is None else format_utc(changes),
            **self.evidence(inputs, clock),
        }


class Leaf(Summarised, Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on what a person did."""

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Look at the leaf's own events only."""
        return key == self.key and (size is None or self.count_can_flip(result, size))

    def count_can_flip(self, result: bool, size: int) -> bool:  # noqa: ARG002 - of most leaves any event can, either way
        """Say whether one more event, so that there are so many, can have changed the answer to this."""
        return True

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Say whether it holds of the summary."""
        return self.holds_for_summary(self._summary_as_of(inputs, clock)[0], clock)

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Return when the answer may change: by the clock alone, or as an event's time comes."""
        summary, comes = self._summary_as_of(inputs, clock)
        return earlier(self.summary_changes_at(summary, clock), comes)

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Return what tells both from one look at the summary."""
        key, answer_of, at = self.key, self.evaluate, self.as_of

        def answer(known: EvaluationInput, clock: int) -> EvaluationResult:
            try:
                summary = known.summaries[key]
            except KeyError:
                summary = None
            if not isinstance(summary, dict):
                return answer_of(summary, clock)
            summary, comes = at(summary, clock)
            holds, changes = answer_of(summary, clock)
            return holds, earlier(changes, comes)

        return answer

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Return what the summary has to say."""
        return self.summary_evidence(self._summary_as_of(inputs, clock)[0], clock)

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Say whether it holds of a summary of what has happened by the clock."""
        raise NotImplementedError

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when the answer changes if nothing else happens."""
        raise NotImplementedError

    @property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """What tells both of a summary.

        A kind of leaf that keeps this has it refer to nothing of the leaf: Python's collector does not see
        structs of plain values (msgspec 0.22), so one that keeps itself would never be let go.
        """
        holds_of, changes_of = self.holds_for_summary, self.summary_changes_at
        return lambda summary, clock: (holds_of(summary, clock), changes_of(summary, clock))

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return what the answer rests on, for people to read."""
        raise NotImplementedError

    def _summary_as_of(self, inputs: EvaluationInput, clock: int) -> tuple[Summary, int | None]:
        return self.as_of(inputs.summaries.get(self.key), clock)


class CompiledCondition:
    """A condition, ready to be asked of many people: its leaves found, their tests compiled."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.leaves = {leaf.key: leaf for leaf in _leaves(condition)}

    @cached_property
    def add_functions(self) -> Mapping[str, Callable[[Summary, EventView], Summary]]:
        """What adds an event to each leaf's summary, by the leaf's key."""
        return {key: leaf.make_add() for key, leaf in self.leaves.items()}

    def keys_watching(self, name: str) -> tuple[str, ...]:
        """Return the keys of the leaves that look at events of this name."""
        if self._keys_by_name is not None:
            return self._keys_by_name.get(name, ())
        return (
            self._cached_keys_watching(name)
            if len(name) <= MAX_CACHED_NAME_LENGTH
            else self._find_keys_watching(name)
        )

    @cached_property
    def _keys_by_name(self) -> Mapping[str, tuple[str, ...]] | None:
        """The keys by name; None if there is a pattern, so that any name may be looked at."""
        found: dict[str, tuple[str, ...]] = {}
        for key, leaf in self.leaves.items():
            if leaf.names is None:
                return None
            for name in leaf.names:
                found[name] = (*found.get(name, ()), key)
        return found

    @cached_property
    def _cached_keys_watching(self) -> Callable[[str], tuple[str, ...]]:
        return lru_cache(maxsize=NAME_CACHE_SIZE)(self._find_keys_watching)

    def _find_keys_watching(self, name: str) -> tuple[str, ...]:
        return tuple(key for key, leaf in self.leaves.items() if leaf.watches(name))


def _leaves(condition: Condition) -> list[Leaf]:
    own = [condition] if isinstance(condition, Leaf) else []
    return own + [leaf for part in condition.parts for leaf in _leaves(part)]
