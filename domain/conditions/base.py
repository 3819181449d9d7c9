"""Base classes of conditions: predicates on a profile at an instant, with explanations.

There are two kinds of leaves.  Some read what the profile *is* (attributes, tags, identifiers,
segments).  The others, `Leaf`, read what the profile *did*, through a summary: a small value that is
kept for each stream and merges with those of the profile's other streams (`summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.summary import EventView, Summarised, Summary
from domain.core.time import format_utc

MANY_EVENTS = 1_000_000
"""More events than any condition counts: the assumed number where it is not known."""

EITHER_RESULT, NO_RESULT = frozenset((True, False)), frozenset[bool]()
"""The two usual values of `Condition.flips_with_time`."""

NAME_CACHE_SIZE, MAX_CACHED_NAME_LENGTH = 4_096, 256
"""Event names, and characters of a name, for which `CompiledCondition` caches the matching leaves."""


def earlier(left: int | None, right: int | None) -> int | None:
    """Returns the earlier of two instants; None stands for never."""
    return left if right is None else right if left is None else min(left, right)


class ProfileFacts(NamedTuple):
    """What a profile is."""

    attributes: Mapping[str, Any] = {}
    tags: frozenset[str] = frozenset()
    identifier_kinds: frozenset[str] = frozenset()
    """Kinds of the profile's identifiers, such as ``email``."""


class EvaluationInput(NamedTuple):
    """What a condition is evaluated on: everything known of one profile."""

    summaries: Mapping[str, Summary]
    """By the key of the leaf, merged over the profile's streams."""

    load_facts: Callable[[], ProfileFacts] = ProfileFacts
    """Loads the facts when needed: most conditions read only what the profile did."""

    in_segment: Callable[[str], bool] = lambda _segment: False


EvaluationResult = tuple[bool, int | None]
"""Whether a condition holds, and when that may change through time alone (see `changes_at`)."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A predicate on a profile at an instant."""

    KEY: ClassVar[str]
    """The member that identifies this condition in JSON."""

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that this one combines; empty for a leaf."""
        return ()

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Returns whether one more event in a leaf's summary can have changed the result to this.

        ``key`` is the leaf's.  ``size`` is the number of its events by now, `MANY_EVENTS` for an
        unknown number above one; None: unknown.
        """
        return any(part.can_flip_to(result, key, size) for part in self.parts)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The results this can flip to through time alone (ignoring pending events)."""
        return NO_RESULT.union(*(part.flips_with_time for part in self.parts))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Returns whether it holds at the clock, in microseconds since 1970 UTC."""
        raise NotImplementedError

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Returns the first instant after the clock at which the result may change by itself.

        At that very instant `holds` returns the new result; None: only an event can change it.
        """
        raise NotImplementedError

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Returns a function that evaluates `holds` and `changes_at` together, for many profiles."""
        holds, changes_at = self.holds, self.changes_at
        return lambda inputs, clock: (holds(inputs, clock), changes_at(inputs, clock))

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Returns the facts that decide the result, as JSON for an explanation."""
        raise NotImplementedError

    def explain(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Returns the result, its evidence, and when it changes by itself, as JSON."""
        changes_at = self.changes_at(inputs, clock)
        return {
            "condition": msgspec.to_builtins(self),
            "holds": self.holds(inputs, clock),
            "changes_at": None if changes_at is None else format_utc(changes_at),
            **self.evidence(inputs, clock),
        }


class Leaf(Summarised, Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on what a profile did.

    A subclass implements:

    - `KEY`: the member that identifies it in JSON; and its name in `CONDITIONS`;
    - `events`: the names, or patterns of names, of the events that it reads;
    - `extractor`: the summary of a single event, or None;
    - `merge_settled`: the summary of two summaries' events, in any order;
    - `evaluate`, or both `holds_for_summary` and `summary_changes_at`: each has a default that
      calls the other;
    - `summary_evidence`: the facts that decide the result;
    - `flips_with_time`, if its result can change without an event.

    Optional, each to keep less or evaluate less often: `expire` (drop what no later clock needs),
    `key` (share summaries with conditions that differ only in what they compare) and
    `count_can_flip` (rule a result out by the number of events).

    Summaries are None (no matching event) or what `extractor` and `merge_settled` return; no event
    in them is later than the clock.  Everything is a pure function of its arguments.
    """

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Returns whether one more of the leaf's own events can have changed the result to this."""
        return key == self.key and (size is None or self.count_can_flip(result, size))

    def count_can_flip(self, result: bool, size: int) -> bool:  # noqa: ARG002 - any event of most leaves can, either way
        """Returns whether one more event, the ``size``-th, can have changed the result to this."""
        return True

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Returns whether it holds for the summary as of the clock."""
        return self.holds_for_summary(self._summary_as_of(inputs, clock)[0], clock)

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Returns when the result may change: by the clock alone, or when a pending event counts."""
        summary, next_pending_at = self._summary_as_of(inputs, clock)
        return earlier(self.summary_changes_at(summary, clock), next_pending_at)

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Returns a function that evaluates both with one look-up of the summary."""
        key, evaluate, as_of = self.key, self.evaluate, self.as_of

        def evaluate_inputs(inputs: EvaluationInput, clock: int) -> EvaluationResult:
            try:
                summary = inputs.summaries[key]
            except KeyError:
                summary = None
            if not isinstance(summary, dict):
                return evaluate(summary, clock)
            summary, next_pending_at = as_of(summary, clock)
            holds, changes_at = evaluate(summary, clock)
            return holds, earlier(changes_at, next_pending_at)

        return evaluate_inputs

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Returns the evidence of the summary as of the clock."""
        return self.summary_evidence(self._summary_as_of(inputs, clock)[0], clock)

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Returns whether it holds for a summary of the events up to the clock."""
        return self.evaluate(summary, clock)[0]

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Returns when the result changes if no other event happens; None: never."""
        return self.evaluate(summary, clock)[1]

    @property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """A function that evaluates `holds_for_summary` and `summary_changes_at` together.

        A subclass that caches the function must not let it refer to the leaf: Python's collector
        does not track structs of plain values (msgspec 0.22), so a leaf that refers to itself
        would never be freed.
        """
        holds, changes_at = self.holds_for_summary, self.summary_changes_at
        return lambda summary, clock: (holds(summary, clock), changes_at(summary, clock))

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Returns the facts that decide the result, as JSON for an explanation."""
        raise NotImplementedError

    def _summary_as_of(self, inputs: EvaluationInput, clock: int) -> tuple[Summary, int | None]:
        return self.as_of(inputs.summaries.get(self.key), clock)


class CompiledCondition:
    """A condition prepared for many profiles: its distinct leaves, by key, and their functions."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.leaves = {leaf.key: leaf for leaf in _leaves(condition)}

    @cached_property
    def add_functions(self) -> Mapping[str, Callable[[Summary, EventView], Summary]]:
        """The functions that add an event to a leaf's summary, by the leaf's key."""
        return {key: leaf.make_add() for key, leaf in self.leaves.items()}

    def keys_watching(self, name: str) -> tuple[str, ...]:
        """Returns the keys of the leaves that read events of this name."""
        if self._keys_by_name is not None:
            return self._keys_by_name.get(name, ())
        return (
            self._cached_keys_watching(name)
            if len(name) <= MAX_CACHED_NAME_LENGTH
            else self._find_keys_watching(name)
        )

    @cached_property
    def _keys_by_name(self) -> Mapping[str, tuple[str, ...]] | None:
        """The keys by event name; None if a leaf has a pattern and so can read any name."""
        keys_by_name: dict[str, tuple[str, ...]] = {}
        for key, leaf in self.leaves.items():
            if leaf.names is None:
                return None
            for name in leaf.names:
                keys_by_name[name] = (*keys_by_name.get(name, ()), key)
        return keys_by_name

    @cached_property
    def _cached_keys_watching(self) -> Callable[[str], tuple[str, ...]]:
        return lru_cache(maxsize=NAME_CACHE_SIZE)(self._find_keys_watching)

    def _find_keys_watching(self, name: str) -> tuple[str, ...]:
        return tuple(key for key, leaf in self.leaves.items() if leaf.watches(name))


def _leaves(condition: Condition) -> list[Leaf]:
    own = [condition] if isinstance(condition, Leaf) else []
    return own + [leaf for part in condition.parts for leaf in _leaves(part)]
