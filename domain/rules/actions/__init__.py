"""The actions of a rule.  A new action is one module here and its line in ACTIONS."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.naming import decode_json
from domain.rules.actions.action import RuleAction, UnsupportedAction
from domain.rules.actions.ledger_commands import (
    AddTagAction,
    RemoveTagAction,
    SendEventAction,
    SetAttributeAction,
)
from domain.rules.actions.webhook import WebhookAction

MAX_ACTIONS = 10
"""Maximum number of actions of a rule, or of one branch of its wait."""

ACTIONS: tuple[type[RuleAction], ...] = (
    WebhookAction,
    SendEventAction,
    SetAttributeAction,
    AddTagAction,
    RemoveTagAction,
)
"""All kinds of actions."""

_ACTION_BY_KEY = {kind.KEY: kind for kind in ACTIONS}


def parse_actions(documents: Any, pointer: str) -> tuple[RuleAction, ...]:
    """Parses a JSON list of actions; one that is not valid becomes an UnsupportedAction.

    ``pointer`` is the JSON pointer of the list.  Raises InvalidRequest if it is no list, or too long.
    """
    if not isinstance(documents, list) or len(documents) > MAX_ACTIONS:
        raise InvalidRequest(f"`actions` must be a list of at most {MAX_ACTIONS}", path=pointer)
    return tuple(
        _parse_action(document, f"{pointer}/{index}") for index, document in enumerate(documents)
    )


def decode_action(action: bytes) -> RuleAction:
    """Decodes one action from JSON text.  Raises InvalidRequest if it is not JSON."""
    return _parse_action(decode_json("action", action), "")


def _parse_action(document: Any, pointer: str) -> RuleAction:
    keys = tuple(_ACTION_BY_KEY)
    if not (isinstance(document, dict) and len(document) == 1):
        problem = f"an action is an object with one of {', '.join(keys)}"
        return UnsupportedAction(document, problem, pointer, keys)
    [(key, fields)] = document.items()
    kind = _ACTION_BY_KEY.get(key)
    if kind is None:
        problem = f"unknown action {key[:100]!r}; use one of {', '.join(keys)}"
        return UnsupportedAction(document, problem, pointer, keys)
    try:
        return msgspec.convert(fields, kind)
    except (msgspec.ValidationError, InvalidRequest) as error:
        return UnsupportedAction(document, f"{error} (in `{key}`)", pointer)
