"""What every action of a rule implements, and what rendering an action results in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.core.errors import InvalidRequest

_MAX_NAME_LENGTH = 2_000


class WebhookRequest(NamedTuple):
    """A rendered action that is sent to an endpoint."""

    body: bytes | None
    """None: the context of the trigger, as JSON."""

    headers: Mapping[str, str]


class LedgerCommand(NamedTuple):
    """A rendered action that is recorded in the ledger as a message about the profile."""

    kind: str
    """``track`` or ``identify``."""

    name: str
    document: bytes
    """JSON: the properties of a `track`, or the traits of an `identify`."""


RenderedAction = WebhookRequest | LedgerCommand
"""What an action is rendered to.  The delivery worker has an executor for each of these."""

RenderTemplates = Callable[[Mapping[str, str], bytes], tuple[Mapping[str, str], bytes]]
"""Renders named texts, and a JSON document whose strings are templates, with the trigger's context."""


class RuleAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An action that is executed for a profile when a rule fires.

    Its fields are its JSON and its schema; a `__post_init__` refuses values with InvalidRequest.
    """

    KEY: ClassVar[str]
    """The action's only JSON member, which holds its fields: ``{"add_tag": {"tag": "vip"}}``."""

    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]]
    """Valid fields: the reference shows them, and a test renders and executes each."""

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint that it is sent to; None if it is recorded in the ledger."""
        return None

    def render(self, render_templates: RenderTemplates) -> RenderedAction:
        """Returns what is executed.  Raises InvalidRequest for a value that would fail again."""
        raise NotImplementedError  # each class of ACTIONS does; a test renders all their examples

    def encode(self) -> bytes:
        """Encodes the action as JSON."""
        return msgspec.json.encode({self.KEY: self})


class UnsupportedAction(RuleAction, frozen=True):
    """A recorded action that this version does not know, or no longer accepts."""

    document: Any
    problem: str
    path: str
    """JSON pointer in the rule's definition."""

    choices: tuple[str, ...] = ()

    def render(self, _render_templates: RenderTemplates) -> RenderedAction:
        """Raises InvalidRequest: it cannot be executed."""
        raise InvalidRequest(f"{self.problem}; change the rule for its later firings")

    def encode(self) -> bytes:
        """Encodes the action as it is recorded."""
        return msgspec.json.encode(self.document)

    def refusal(self) -> InvalidRequest:
        """Returns the error for a definition that is not recorded yet."""
        choices = {"choices": list(self.choices)} if self.choices else {}
        return InvalidRequest(self.problem, path=self.path, **choices)


def check_name(label: str, name: str) -> None:
    """Raises InvalidRequest for a blank or very long name."""
    if not name.strip() or len(name) > _MAX_NAME_LENGTH:
        raise InvalidRequest(f"the {label} must have 1 to {_MAX_NAME_LENGTH:,} characters")
