"""The triggers of rules.  A new kind is one class here and its line in TRIGGERS."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.profile_facts import AttributeCondition
from domain.core.errors import InvalidRequest


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What triggers a rule."""

    KEY: ClassVar[str]
    """The JSON member that identifies this kind of trigger."""

    MERGE_SENSITIVE: ClassVar[bool] = True
    """Whether a merge alone can cause it: by default such a change triggers nothing (`on_merge`)."""

    def matches(self, subject: str) -> bool:
        """Returns whether an event name, segment id, attribute or profile change triggers the rule."""
        return bool(subject == getattr(self, self.KEY))

    @property
    def segment(self) -> str | None:
        """The id of the segment that it refers to, if any."""
        return None

    @property
    def attribute(self) -> AttributeCondition | None:
        """The attribute that it observes, if any, as a condition: its values must be accumulated."""
        return None


class EventTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A profile has an event."""

    KEY: ClassVar[str] = "event"
    MERGE_SENSITIVE: ClassVar[bool] = False

    event: EventName

    def matches(self, subject: str) -> bool:
        """Returns whether the rule is triggered by events of this name."""
        return compile_event_name(self.event)(subject)


class SystemEventTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A system event, which belongs to no profile: the rule runs for the whole audience."""

    KEY: ClassVar[str] = "system_event"
    MERGE_SENSITIVE: ClassVar[bool] = False

    system_event: EventName

    def matches(self, subject: str) -> bool:
        """Returns whether the rule is triggered by events of this name."""
        return compile_event_name(self.system_event)(subject)


class SegmentEnteredTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A profile entered a segment."""

    KEY: ClassVar[str] = "entered"

    entered: str

    @property
    def segment(self) -> str:
        """The segment's id."""
        return self.entered


class SegmentLeftTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A profile left a segment."""

    KEY: ClassVar[str] = "left"

    left: str

    @property
    def segment(self) -> str:
        """The segment's id."""
        return self.left


class AttributeChangedTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """An attribute of a profile changed its value; a dotted path observes a nested value."""

    KEY: ClassVar[str] = "attribute_changed"

    attribute_changed: str

    def __post_init__(self) -> None:
        if not self.attribute_changed:
            raise InvalidRequest("`attribute_changed` must be the name of an attribute")
        AttributeCondition(self.attribute_changed, "exists")

    @property
    def attribute(self) -> AttributeCondition:
        """The attribute, as a condition that reads its values."""
        return AttributeCondition(self.attribute_changed, "exists")


class ProfileTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A profile was created, or two profiles were merged."""

    KEY: ClassVar[str] = "profile"
    MERGE_SENSITIVE: ClassVar[bool] = False

    profile: Literal["created", "merged"]


TRIGGERS: tuple[type[Trigger], ...] = (
    EventTrigger,
    SystemEventTrigger,
    SegmentEnteredTrigger,
    SegmentLeftTrigger,
    AttributeChangedTrigger,
    ProfileTrigger,
)
"""All kinds of triggers."""


def parse_trigger(document: Any, pointer: str) -> Trigger:
    """Parses a trigger; ``pointer`` is its JSON pointer.  Raises InvalidRequest."""
    for kind in TRIGGERS:
        if isinstance(document, dict) and kind.KEY in document:
            try:
                return msgspec.convert(document, kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(
                    f"{error} (in a trigger with `{kind.KEY}`)", path=pointer
                ) from None
    raise InvalidRequest(
        f"a trigger is an object with one of {', '.join(kind.KEY for kind in TRIGGERS)}",
        path=pointer,
    )
