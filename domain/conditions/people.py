"""Conditions on what a person is: attributes, tags, names, other segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.base import EITHER, NEITHER, Condition, Known
from domain.conditions.values import (
    OPPOSITES,
    Operator,
    check,
    needs_clock,
    next_change,
    tester,
)
from domain.core import paths

_ROOT = "attributes"


class Attribute(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute compares like this; dots and ``[]`` lead into nested values."""

    KEY: ClassVar[str] = "attribute"

    attribute: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check(self.op, self.value)
        paths.parse(self._path)

    @property
    def turns(self) -> frozenset[bool]:
        """Either, where it is compared with the clock."""
        return EITHER if needs_clock(self.value) else NEITHER

    def holds(self, known: Known, clock: int) -> bool:
        """Compare the values at the path."""
        holds = tester(self.op, self.value, clock)
        return any(map(holds, self.values(known))) != (self.op in OPPOSITES)

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when a time in the attribute passes the clock."""
        return next_change(self.op, self.value, self.values(known), clock)

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the values."""
        return {"values": list(self.values(known))}

    def values(self, known: Known) -> Sequence[Any]:
        """Return the values at the path."""
        attributes = known.told().attributes
        if self.attribute in attributes:  # a name may hold dots of its own
            return (attributes[self.attribute],)
        return paths.find({_ROOT: attributes}, paths.parse(self._path))

    @property
    def outermost(self) -> str:
        """The attribute that the path leads into, unless one has the whole path as its name."""
        return next(it for it in paths.parse(self._path)[1:] if it is not None)

    @property
    def _path(self) -> str:
        return _ROOT + ("" if self.attribute.startswith("[") else ".") + self.attribute


class _Fixed(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    def changes_at(self, known: Known, clock: int) -> int | None:  # noqa: ARG002
        """Return None: it needs an event to change."""
        return None

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: the answer is all there is."""
        return {}


class Tagged(_Fixed, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person has the tag, or has not."""

    KEY: ClassVar[str] = "tag"

    tag: str
    present: bool = True

    def holds(self, known: Known, clock: int) -> bool:  # noqa: ARG002
        """Look among the tags."""
        return (self.tag in known.told().tags) == self.present


class Named(_Fixed, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person goes by an identifier of this kind, or does not."""

    KEY: ClassVar[str] = "identifier"

    identifier: Literal["user_id", "email", "phone", "external_id", "anonymous_id"]
    present: bool = True

    def holds(self, known: Known, clock: int) -> bool:  # noqa: ARG002
        """Look among the kinds."""
        return (self.identifier in known.told().kinds) == self.present


class InSegment(_Fixed, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person is in another segment."""

    KEY: ClassVar[str] = "segment"

    segment: str

    def holds(self, known: Known, clock: int) -> bool:  # noqa: ARG002
        """Ask the other segment."""
        return known.in_segment(self.segment)


class Handpicked(_Fixed, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person is on the list of a segment that is kept by hand.  Nobody can write this condition."""

    KEY: ClassVar[str] = "list"

    segment: str

    @property
    def key(self) -> str:
        """What the list is remembered under: the position of the last word, and that word."""
        return f"list:{self.segment}"

    def holds(self, known: Known, clock: int) -> bool:  # noqa: ARG002
        """Look at the last word."""
        _, listed = known.summaries.get(self.key) or (0, False)
        return bool(listed)
