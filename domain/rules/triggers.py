"""What sets a rule off.  A new kind is one class here and its name in TRIGGERS."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.names import EventName, name_test
from domain.conditions.people import Attribute
from domain.core.errors import InvalidRequest


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something by which a rule may be set off."""

    KEY: ClassVar[str]
    """The member that tells this kind from the others in JSON."""

    MERGING: ClassVar[bool] = True
    """Whether it may come of a merge alone, which by default sets nothing off."""

    def fits(self, subject: str) -> bool:
        """Say whether it is set off by this event, segment, attribute or turn of a profile."""
        return bool(subject == getattr(self, self.KEY))

    @property
    def segment(self) -> str | None:
        """The segment that it asks about, if it does."""
        return None

    @property
    def attribute(self) -> Attribute | None:
        """The attribute that has to be remembered for it, if one has."""
        return None


class ByEvent(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person did something."""

    KEY: ClassVar[str] = "event"
    MERGING: ClassVar[bool] = False

    event: EventName

    def fits(self, subject: str) -> bool:
        """Look at the event's name."""
        return name_test(self.event)(subject)


class BySystemEvent(Trigger, frozen=True, forbid_unknown_fields=True):
    """Something happened that concerns no single person: everybody in the audience is taken."""

    KEY: ClassVar[str] = "system_event"
    MERGING: ClassVar[bool] = False

    system_event: EventName

    def fits(self, subject: str) -> bool:
        """Look at the event's name."""
        return name_test(self.system_event)(subject)


class ByEntering(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person entered a segment."""

    KEY: ClassVar[str] = "entered"

    entered: str

    @property
    def segment(self) -> str:
        """The segment."""
        return self.entered


class ByLeaving(Trigger, frozen=True, forbid_unknown_fields=True):
    """A person left a segment."""

    KEY: ClassVar[str] = "left"

    left: str

    @property
    def segment(self) -> str:
        """The segment."""
        return self.left


class ByAttribute(Trigger, frozen=True, forbid_unknown_fields=True):
    """An attribute of a person has another value than before; dots lead into nested values."""

    KEY: ClassVar[str] = "attribute_changed"

    attribute_changed: str

    def __post_init__(self) -> None:
        if not self.attribute_changed:
            raise InvalidRequest("an attribute has a name")
        Attribute(self.attribute_changed, "exists")

    @property
    def attribute(self) -> Attribute:
        """The attribute."""
        return Attribute(self.attribute_changed, "exists")


class ByProfile(Trigger, frozen=True, forbid_unknown_fields=True):
    """Somebody was heard of for the first time, or two profiles became one."""

    KEY: ClassVar[str] = "profile"
    MERGING: ClassVar[bool] = False

    profile: Literal["created", "merged"]


TRIGGERS: tuple[type[Trigger], ...] = (
    ByEvent,
    BySystemEvent,
    ByEntering,
    ByLeaving,
    ByAttribute,
    ByProfile,
)
"""Every kind."""


def read(document: Any, place: str) -> Trigger:
    """Return the trigger that a JSON document spells.  Raises InvalidRequest with the place."""
    for kind in TRIGGERS:
        if isinstance(document, dict) and kind.KEY in document:
            try:
                return msgspec.convert(document, kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(
                    f"{error} (in a trigger with `{kind.KEY}`)", path=place
                ) from None
    raise InvalidRequest(
        f"a trigger is an object with one of {', '.join(it.KEY for it in TRIGGERS)}", path=place
    )
