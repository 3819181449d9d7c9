"""Conditions on what a person is: attributes, tags, names, other segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.base import EITHER_RESULT, NO_RESULT, Condition, EvaluationInput
from domain.conditions.values import (
    OPPOSITES,
    Operator,
    check_operand,
    compile_operator,
    is_relative_time,
    next_flip_at,
)
from domain.core import paths

_ROOT = "attributes"


class AttributeCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute compares like this; dots and ``[]`` lead into nested values."""

    KEY: ClassVar[str] = "attribute"

    attribute: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)
        paths.parse(self._path)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either, where it is compared with the clock."""
        return EITHER_RESULT if is_relative_time(self.value) else NO_RESULT

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Compare the values at the path."""
        holds = compile_operator(self.op, self.value, clock)
        return any(map(holds, self.values(inputs))) != (self.op in OPPOSITES)

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Return when a time in the attribute passes the clock."""
        return next_flip_at(self.op, self.value, self.values(inputs), clock)

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the values."""
        return {"values": list(self.values(inputs))}

    def values(self, inputs: EvaluationInput) -> Sequence[Any]:
        """Return the values at the path."""
        attributes = inputs.load_facts().attributes
        if self.attribute in attributes:  # a name may hold dots of its own
            return (attributes[self.attribute],)
        return paths.find_values({_ROOT: attributes}, paths.parse(self._path))

    @property
    def top_level_name(self) -> str:
        """The attribute that the path leads into, unless one has the whole path as its name."""
        return next(it for it in paths.parse(self._path)[1:] if it is not None)

    @property
    def _path(self) -> str:
        return _ROOT + ("" if self.attribute.startswith("[") else ".") + self.attribute


class _TimelessCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:  # noqa: ARG002
        """Return None: it needs an event to change."""
        return None

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: the answer is all there is."""
        return {}


class TagCondition(_TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person has the tag, or has not."""

    KEY: ClassVar[str] = "tag"

    tag: str
    present: bool = True

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Look among the tags."""
        return (self.tag in inputs.load_facts().tags) == self.present


class IdentifierCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The person goes by an identifier of this kind, or does not."""

    KEY: ClassVar[str] = "identifier"

    identifier: Literal["user_id", "email", "phone", "external_id", "anonymous_id"]
    present: bool = True

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Look among the kinds."""
        return (self.identifier in inputs.load_facts().identifier_kinds) == self.present


class SegmentCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The person is in another segment."""

    KEY: ClassVar[str] = "segment"

    segment: str

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Ask the other segment."""
        return inputs.in_segment(self.segment)


class ManualListCondition(
    _TimelessCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The person is on the list of a segment that is kept by hand.  Nobody can write this condition."""

    KEY: ClassVar[str] = "list"

    segment: str

    @property
    def key(self) -> str:
        """What the list is remembered under: the position of the last word, and that word."""
        return f"list:{self.segment}"

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:  # noqa: ARG002
        """Look at the last word."""
        _, listed = inputs.summaries.get(self.key) or (0, False)
        return bool(listed)
