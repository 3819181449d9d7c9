"""Conditions on what a profile is: attributes, tags, identifiers, segments, manual lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import msgspec

from domain.conditions.accumulators import (
    Accumulator,
    AttributeAccumulator,
    ListAccumulator,
    TagAccumulator,
)
from domain.conditions.base import (
    EITHER_RESULT,
    NO_RESULT,
    SEGMENT,
    Condition,
    EvaluationInput,
    Reference,
)
from domain.conditions.schema_fragments import INSTANT_OR_AGO, operand_rules
from domain.conditions.values import (
    OPPOSITES,
    Operator,
    check_operand,
    compile_operator,
    is_relative_time,
    next_flip_at,
)
from domain.core import paths
from domain.core.tags import TAGS_TRAIT

_ROOT = "attributes"


class AttributeCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares an attribute; dots and ``[]`` lead into nested values."""

    KEY: ClassVar[str] = "attribute"
    EXAMPLES = (
        {"attribute": "plan", "op": "in", "value": ["pro", "team"]},
        {"attribute": "trial_ends_at", "op": "before", "value": {"ago": "7d"}},
    )
    SCHEMA = operand_rules(get_args(Operator), INSTANT_OR_AGO)

    attribute: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)
        paths.parse(self._path)

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns those of the attributes that the path may lead into: its name may contain dots."""
        return map(AttributeAccumulator, sorted({self.attribute, self._top_level_name}))

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either result if the attribute is compared with a time relative to the clock."""
        return EITHER_RESULT if is_relative_time(self.value) else NO_RESULT

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Compares the values at the path."""
        holds = compile_operator(self.op, self.value, clock)
        return any(map(holds, self.values(inputs))) != (self.op in OPPOSITES)

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Returns when a time in the attribute flips a comparison relative to the clock."""
        return next_flip_at(self.op, self.value, self.values(inputs), clock)

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Returns the values at the path."""
        return {"values": list(self.values(inputs))}

    def values(self, inputs: EvaluationInput) -> Sequence[Any]:
        """Returns the values at the path; none if the attribute is absent."""
        attributes = inputs.load_facts().attributes
        if self.attribute in attributes:  # a name can contain dots of its own
            return (attributes[self.attribute],)
        return paths.find_values({_ROOT: attributes}, paths.parse(self._path))

    @property
    def _top_level_name(self) -> str:
        """The attribute that contains the path, unless the whole path is an attribute's name."""
        return next(step for step in paths.parse(self._path)[1:] if step is not None)

    @property
    def _path(self) -> str:
        return _ROOT + ("" if self.attribute.startswith("[") else ".") + self.attribute


class _TimelessCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:  # noqa: ARG002
        """Returns None: only an event can change the result."""
        return None

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Returns nothing: the result says all."""
        return {}


class TagCondition(_TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The profile has a tag, or lacks it."""

    KEY: ClassVar[str] = "tag"
    EXAMPLES = (
        {"tag": "vip"},
        {"tag": "unsubscribed", "present": False},
    )

    tag: str
    present: bool = True

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns the tags that events set, and the trait that sets all of them."""
        return (TagAccumulator(), AttributeAccumulator(TAGS_TRAIT))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Compares the profile's tags."""
        return (self.tag in inputs.load_facts().tags) == self.present


class IdentifierCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The profile has an identifier of this kind, or lacks one."""

    KEY: ClassVar[str] = "identifier"
    EXAMPLES = ({"identifier": "email"},)

    identifier: Literal["user_id", "email", "phone", "external_id", "anonymous_id"]
    present: bool = True

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns none: the owners of streams tell the identifiers."""
        return ()

    @property
    def reads_identifiers(self) -> bool:
        """Always."""
        return True

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Compares the kinds of the profile's identifiers."""
        return (self.identifier in inputs.load_facts().identifier_kinds) == self.present


class SegmentCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The profile is in another segment."""

    KEY: ClassVar[str] = "segment"
    EXAMPLES = ({"segment": "churned"},)

    segment: str

    @property
    def reference(self) -> Reference:
        """The segment."""
        return Reference(SEGMENT, self.segment)

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns none: the other segment has its own."""
        return ()

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Returns whether the profile is in the segment."""
        return inputs.in_segment(self.segment)


class ManualListCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The profile is on the manual list of a segment.

    Not in `CONDITIONS`: only a segment with a manual list has this condition.
    """

    KEY: ClassVar[str] = "list"

    segment: str

    @property
    def key(self) -> str:
        """The key of the summary: the position of the last change to the list, and its result."""
        return f"list:{self.segment}"

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns that of the list."""
        return (ListAccumulator(self.key),)

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Returns the result of the last change."""
        _, is_listed = inputs.summaries.get(self.key) or (0, False)
        return bool(is_listed)
