"""What a rule does.  A new action is one class here and its name in ACTIONS."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from domain.core.errors import InvalidRequest

MOST = 10
"""Actions of one rule, or of one branch of it."""

_LONGEST = 2_000


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is done for a person once a rule fires."""

    KEY: ClassVar[str]
    """The one member of its JSON, which holds the rest: ``{"add_tag": {"tag": "vip"}}``."""


class Webhook(Action, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request goes to an endpoint; without a body of one's own it tells of the trigger and the person."""

    KEY: ClassVar[str] = "webhook"

    endpoint: str
    """The id of one that takes deliveries."""

    body: Any = msgspec.UNSET
    """A text is one template; JSON has templates in its texts."""

    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        _named("an endpoint", self.endpoint)


class SendEvent(Action, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event of the person is recorded."""

    KEY: ClassVar[str] = "send_event"

    name: str
    properties: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _named("an event", self.name)


class SetAttribute(Action, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute of the person gets a value; null takes it away."""

    KEY: ClassVar[str] = "set_attribute"

    name: str
    value: Any

    def __post_init__(self) -> None:
        _named("an attribute", self.name)


class AddTag(Action, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person gets a tag."""

    KEY: ClassVar[str] = "add_tag"

    tag: str

    def __post_init__(self) -> None:
        _named("a tag", self.tag)


class RemoveTag(Action, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tag is taken from the person."""

    KEY: ClassVar[str] = "remove_tag"

    tag: str

    def __post_init__(self) -> None:
        _named("a tag", self.tag)


ACTIONS: tuple[type[Action], ...] = (Webhook, SendEvent, SetAttribute, AddTag, RemoveTag)
"""Every kind."""


def read(documents: Any, place: str) -> tuple[Action, ...]:
    """Return the actions that a list spells.  Raises InvalidRequest with the place."""
    if not isinstance(documents, list) or len(documents) > MOST:
        raise InvalidRequest(f"actions are a list of at most {MOST}", path=place)
    return tuple(_read(it, f"{place}/{at}") for at, it in enumerate(documents))


def written(action: Action) -> bytes:
    """Return an action as JSON."""
    return msgspec.json.encode({action.KEY: action})


def _read(document: Any, place: str) -> Action:
    for kind in ACTIONS:
        if isinstance(document, dict) and document.keys() == {kind.KEY}:
            try:
                return msgspec.convert(document[kind.KEY], kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(f"{error} (in `{kind.KEY}`)", path=place) from None
    raise InvalidRequest(
        f"an action is an object with one of {', '.join(it.KEY for it in ACTIONS)}", path=place
    )


def _named(what: str, name: str) -> None:
    if not name.strip() or len(name) > _LONGEST:
        raise InvalidRequest(f"{what} has a name, of at most {_LONGEST:,} characters")
