"""The actions of a rule.  A new action is one class here and its line in ACTIONS."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from domain.core.errors import InvalidRequest

MAX_ACTIONS = 10
"""Maximum number of actions of a rule, or of one branch of its wait."""

_MAX_NAME_LENGTH = 2_000


class RuleAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An action that is executed for a profile when a rule fires."""

    KEY: ClassVar[str]
    """The action's only JSON member, which holds its fields: ``{"add_tag": {"tag": "vip"}}``."""


class WebhookAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sends a request to an endpoint; without `body` it describes the trigger and the profile."""

    KEY: ClassVar[str] = "webhook"

    endpoint: str
    """The endpoint's id."""

    body: Any = msgspec.UNSET
    """A text is one template; in JSON, each text is a template."""

    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        _check_name("endpoint", self.endpoint)


class SendEventAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Records an event of the profile."""

    KEY: ClassVar[str] = "send_event"

    name: str
    properties: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_name("event name", self.name)


class SetAttributeAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sets an attribute of the profile; null removes it."""

    KEY: ClassVar[str] = "set_attribute"

    name: str
    value: Any

    def __post_init__(self) -> None:
        _check_name("attribute name", self.name)


class AddTagAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Adds a tag to the profile."""

    KEY: ClassVar[str] = "add_tag"

    tag: str

    def __post_init__(self) -> None:
        _check_name("tag", self.tag)


class RemoveTagAction(RuleAction, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Removes a tag from the profile."""

    KEY: ClassVar[str] = "remove_tag"

    tag: str

    def __post_init__(self) -> None:
        _check_name("tag", self.tag)


ACTIONS: tuple[type[RuleAction], ...] = (
    WebhookAction,
    SendEventAction,
    SetAttributeAction,
    AddTagAction,
    RemoveTagAction,
)
"""All kinds of actions."""


def parse_actions(documents: Any, pointer: str) -> tuple[RuleAction, ...]:
    """Parses a JSON list of actions.

    ``pointer`` is the JSON pointer of the list.  Raises InvalidRequest with that of the invalid action.
    """
    if not isinstance(documents, list) or len(documents) > MAX_ACTIONS:
        raise InvalidRequest(f"`actions` must be a list of at most {MAX_ACTIONS}", path=pointer)
    return tuple(
        _parse_action(document, f"{pointer}/{index}") for index, document in enumerate(documents)
    )


def encode_action(action: RuleAction) -> bytes:
    """Encodes an action as JSON."""
    return msgspec.json.encode({action.KEY: action})


def _parse_action(document: Any, pointer: str) -> RuleAction:
    for kind in ACTIONS:
        if isinstance(document, dict) and document.keys() == {kind.KEY}:
            try:
                return msgspec.convert(document[kind.KEY], kind)
            except (msgspec.ValidationError, InvalidRequest) as error:
                raise InvalidRequest(f"{error} (in `{kind.KEY}`)", path=pointer) from None
    raise InvalidRequest(
        f"an action is an object with one of {', '.join(kind.KEY for kind in ACTIONS)}",
        path=pointer,
    )


def _check_name(label: str, name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME_LENGTH:
        raise InvalidRequest(f"the {label} must have 1 to {_MAX_NAME_LENGTH:,} characters")
