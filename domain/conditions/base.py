"""Base classes of conditions: predicates on a profile at an instant, with explanations.

There are two kinds of leaves.  Some read what the profile *is* (attributes, tags, identifiers,
segments).  The others, `Leaf`, read what the profile *did*, through a summary: a small value that is
kept for each stream and merges with those of the profile's other streams (`summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from domain.conditions.accumulators import Accumulator, EventAccumulator
from domain.conditions.parsing import convert
from domain.conditions.summary import Summarised, Summary
from domain.core.time import format_utc

MANY_EVENTS = 1_000_000
"""More events than any condition counts: the assumed number where it is not known."""

EITHER_RESULT, NO_RESULT = frozenset((True, False)), frozenset[bool]()
"""The two usual values of `Condition.flips_with_time`."""


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


ParsePart = Callable[[Any, str], "Condition"]
"""Parses a document that is part of a condition; the text is its JSON pointer."""

EvaluationResult = tuple[bool, int | None]
"""Whether a condition holds, and when that may change through time alone (see `changes_at`)."""


class Reference(NamedTuple):
    """Another definition that a condition refers to."""

    kind: str
    """`SEGMENT`, `COMPUTED_ATTRIBUTE` or `SCORE`."""

    name: str


SEGMENT, COMPUTED_ATTRIBUTE, SCORE = "segment", "computed attribute", "score"


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A predicate on a profile at an instant.

    This class is all that the rest of the code knows of a condition.  The fields of a subclass are its
    JSON and its schema, and a `__post_init__` refuses values with InvalidRequest.  It implements:

    - `KEY` and `EXAMPLES`;
    - `accumulators`: what is accumulated for it of each stream;
    - `holds`, `changes_at` and `evidence`.

    It overrides what its default is not true of:

    - `flips_with_time`, if its result can change without an event;
    - `reads_identifiers`, if it looks at the kinds of a profile's identifiers;
    - `reference`, if it refers to another definition;
    - `SCHEMA`, for what it checks beyond the types of its fields;
    - `compile` and `can_flip_to`, to evaluate faster, or less often.

    `Leaf` (what a profile did) and `CompositeCondition` (conditions combined) implement most of it.
    """

    KEY: ClassVar[str]
    """The member that identifies this condition in JSON."""

    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]]
    """Valid documents: the schema and the reference show them, and a test evaluates each."""

    SCHEMA: ClassVar[Mapping[str, Any]] = {}
    """What its JSON schema says besides the types of its fields: see `schema_fragments`."""

    @classmethod
    def accepts(cls, document: Mapping[str, Any]) -> bool:
        """Returns whether an object is to be parsed as this condition."""
        return cls.KEY in document

    @classmethod
    def parse(cls, document: Any, pointer: str, parse_part: ParsePart) -> Self:  # noqa: ARG003 - most have no parts
        """Parses an object that `accepts` it.  Raises InvalidRequest.

        ``pointer`` is its JSON pointer; ``parse_part`` parses a part of it.
        """
        return convert(document, cls, pointer)

    @property
    def parts(self) -> Sequence[Condition]:
        """The conditions that this one combines."""
        return ()

    def part_pointers(self, pointer: str = "") -> Sequence[str]:  # noqa: ARG002 - most have no parts
        """Returns the JSON pointers of the parts; ``pointer`` is that of this condition."""
        return ()

    @property
    def reference(self) -> Reference | None:
        """The definition that this condition itself, not a part of it, refers to."""
        return None

    def resolve(self, values: Mapping[str, Condition], pointer: str = "") -> Condition:  # noqa: ARG002 - most refer to none
        """Returns the condition with each reference to a computed attribute or score replaced.

        ``values`` are their definitions by name, free of references.  Raises InvalidRequest for a name
        that is not defined, or is a score where a computed attribute is expected, or the reverse.
        """
        return self

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns what is accumulated for it; the same key may come more than once."""
        raise NotImplementedError

    @property
    def reads_identifiers(self) -> bool:
        """Whether its result depends on the kinds of a profile's identifiers."""
        return False

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:  # noqa: ARG002 - most values decide either way
        """Returns whether one more event in an accumulator can have changed the result to this.

        ``key`` is the accumulator's.  ``size`` is the number of its events by now, `MANY_EVENTS` for an
        unknown number above one; None: unknown.
        """
        return any(key == accumulator.key for accumulator in self.accumulators())

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The results this can flip to through time alone (ignoring pending events)."""
        return NO_RESULT

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

    - `KEY` and `EXAMPLES`;
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

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns the accumulator of its summary."""
        return (EventAccumulator(self),)

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
