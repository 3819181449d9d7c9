"""Actions that are recorded in the ledger as messages about the profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from domain.rules.actions.action import LedgerCommand, RenderTemplates, RuleAction, check_name


class SendEventAction(RuleAction, frozen=True):
    """Records an event of the profile."""

    KEY: ClassVar[str] = "send_event"
    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"name": "cart_abandoned", "properties": {"total": "{{ event.total }}"}},
    )

    name: str
    properties: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("event name", self.name)

    def render(self, render_templates: RenderTemplates) -> LedgerCommand:
        """Returns the event; its name is a template too."""
        properties = msgspec.json.encode(self.properties)
        texts, document = render_templates({"name": self.name}, properties)
        return LedgerCommand("track", texts["name"], document)


class SetAttributeAction(RuleAction, frozen=True):
    """Sets an attribute of the profile; null removes it."""

    KEY: ClassVar[str] = "set_attribute"
    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"name": "last_order_total", "value": "{{ event.total }}"},
    )

    name: str
    value: Any

    def __post_init__(self) -> None:
        check_name("attribute name", self.name)

    def render(self, render_templates: RenderTemplates) -> LedgerCommand:
        """Returns the traits."""
        traits = msgspec.json.encode({self.name: self.value})
        return LedgerCommand("identify", "identify", render_templates({}, traits)[1])


class _TagAction(RuleAction, frozen=True):
    EVENT: ClassVar[str]

    tag: str

    def __post_init__(self) -> None:
        check_name("tag", self.tag)

    def render(self, render_templates: RenderTemplates) -> LedgerCommand:
        """Returns the event that changes the profile's tags."""
        texts, _ = render_templates({"tag": self.tag}, b"")
        return LedgerCommand("track", self.EVENT, msgspec.json.encode(texts))


class AddTagAction(_TagAction, frozen=True):
    """Adds a tag to the profile."""

    KEY: ClassVar[str] = "add_tag"
    EVENT: ClassVar[str] = "Tag Added"
    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]] = ({"tag": "buyer"},)


class RemoveTagAction(_TagAction, frozen=True):
    """Removes a tag from the profile."""

    KEY: ClassVar[str] = "remove_tag"
    EVENT: ClassVar[str] = "Tag Removed"
    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]] = ({"tag": "prospect"},)
