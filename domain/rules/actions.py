"""What a rule does.  A new action is one class here and its name in ACTIONS."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from domain.core.errors import InvalidRequest

MAX_ACTIONS = 10
"""Actions of one rule, or of one branch of it."""

_MAX_NAME_LENGTH = 2_000


class RuleAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is done for a person once a rule fires."""

    KEY: ClassVar[str]
    """The one member of its JSON, which holds the rest: ``{"add_tag": {"tag": "vip"}}``."""


class WebhookAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request goes to an endpoint; without a body of one's own it tells of the trigger and the person."""

    KEY: ClassVar[str] = "webhook"

    endpoint: str
    """The id of one that takes deliveries."""

    body: Any = msgspec.UNSET
    """A text is one template; JSON has templates in its texts."""

    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        _check_name("an endpoint", self.endpoint)


class SendEventAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event of the person is recorded."""

    KEY: ClassVar[str] = "send_event"

    name: str
    properties: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_name("an event", self.name)


class SetAttributeAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attribute of the person gets a value; null takes it away."""

    KEY: ClassVar[str] = "set_attribute"

    name: str
    value: Any

    def __post_init__(self) -> None:
        _check_name("an attribute", self.name)


class AddTagAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person gets a tag."""

    KEY: ClassVar[str] = "add_tag"

    tag: str

    def __post_init__(self) -> None:
        _check_name("a tag", self.tag)


class RemoveTagAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tag is taken from the person."""

    KEY: ClassVar[str] = "remove_tag"

    tag: str

    def __post_init__(self) -> None:
        _check_name("a tag", self.tag)


ACTIONS: tuple[type[RuleAction], ...] = (
    WebhookAction,
    SendEventAction,
    SetAttributeAction,
    AddTagAction,
    RemoveTagAction,
)
"""Every kind."""


def parse_actions(documents: Any, pointer: str) -> tuple[RuleAction, ...]:
    """Return the actions that a list spells.  Raises InvalidRequest with the place."""
    if not isinstance(documents, list) or len(documents) > MAX_ACTIONS:
        raise InvalidRequest(f"actions are a list of at most {MAX_ACTIONS}", path=pointer)
    return tuple(_parse_action(it, f"{pointer}/{at}") for at, it in enumerate(documents))


def encode_action(action: RuleAction) -> bytes:
    """Return an action as JSON."""
    return msgspec.json.encode({action.KEY: action})


def _parse_action(document: Any, pointer: str) -> RuleAction:
    for kind in ACTIONS:
        if isinstance(document, dict) and document.keys() == {kind.KEY}:
            try:
                return msgspec.convert(document[kind.KEY], kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(f"{error} (in `{kind.KEY}`)", path=pointer) from None
    raise InvalidRequest(
        f"an action is an object with one of {', '.join(it.KEY for it in ACTIONS)}", path=pointer
    )


def _check_name(what: str, name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME_LENGTH:
        raise InvalidRequest(f"{what} has a name, of at most {_MAX_NAME_LENGTH:,} characters")
