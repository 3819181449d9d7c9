"""What sets a rule off.  A new kind is one class here and its name in TRIGGERS."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.profile_facts import AttributeCondition
from domain.core.errors import InvalidRequest


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something by which a rule may be set off."""

    KEY: ClassVar[str]
    """The member that tells this kind from the others in JSON."""

    MERGE_SENSITIVE: ClassVar[bool] = True
    """Whether it may come of a merge alone, which by default sets nothing off."""

    def matches(self, subject: str) -> bool:
        """Say whether it is set off by this event, segment, attribute or turn of a profile."""
        return bool(subject == getattr(self, self.KEY))

    @property
    def segment(self) -> str | None:
        """The segment that it asks about, if it does."""
        return None

    @property
    def attribute(self) -> AttributeCondition | None:
        """The attribute that has to be remembered for it, if one has."""
        return None


class EventTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person did something."""

    KEY: ClassVar[str] = "event"
    MERGE_SENSITIVE: ClassVar[bool] = False

    event: EventName

    def matches(self, subject: str) -> bool:
        """Look at the event's name."""
        return compile_event_name(self.event)(subject)


class SystemEventTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """Something happened that concerns no single person: everybody in the audience is taken."""

    KEY: ClassVar[str] = "system_event"
    MERGE_SENSITIVE: ClassVar[bool] = False

    system_event: EventName

    def matches(self, subject: str) -> bool:
        """Look at the event's name."""
        return compile_event_name(self.system_event)(subject)


class SegmentEnteredTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person entered a segment."""

    KEY: ClassVar[str] = "entered"

    entered: str

    @property
    def segment(self) -> str:
        """The segment."""
        return self.entered


class SegmentLeftTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person left a segment."""

    KEY: ClassVar[str] = "left"

    left: str

    @property
    def segment(self) -> str:
        """The segment."""
        return self.left


class AttributeChangedTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """An attribute of a person has another value than before; dots lead into nested values."""

    KEY: ClassVar[str] = "attribute_changed"

    attribute_changed: str

    def __post_init__(self) -> None:
        if not self.attribute_changed:
            raise InvalidRequest("an attribute has a name")
        AttributeCondition(self.attribute_changed, "exists")

    @property
    def attribute(self) -> AttributeCondition:
        """The attribute."""
        return AttributeCondition(self.attribute_changed, "exists")


class ProfileTrigger(Trigger, frozen=True, forbid_unknown_fields=True):
    """Somebody was heard of for the first time, or two profiles became one."""

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
"""Every kind."""


def parse_trigger(document: Any, pointer: str) -> Trigger:
    """Return the trigger that a JSON document spells.  Raises InvalidRequest with the place."""
    for kind in TRIGGERS:
        if isinstance(document, dict) and kind.KEY in document:
            try:
                return msgspec.convert(document, kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(
                    f"{error} (in a trigger with `{kind.KEY}`)", path=pointer
                ) from None
    raise InvalidRequest(
        f"a trigger is an object with one of {', '.join(it.KEY for it in TRIGGERS)}", path=pointer
    )
