"""Looks at the templates of a rule before it is decided on."""

from __future__ import annotations

from contextlib import closing

from application.deliveries.templates import TemplateFailed, TemplateRenderer
from domain.core.errors import InvalidRequest
from domain.rules.actions import encode_action
from domain.rules.rule import RuleVersion, decode_definition

_TIMEOUT_SECONDS = 5.0
"""How long it may take to read the templates of one action: nobody waits but who wrote them."""


def validate_templates(definition: RuleVersion) -> None:
    """Raise InvalidRequest, with the place of the action, for a template that nobody could fill."""
    plan = decode_definition(definition.plan)
    branches = {"/actions": plan.immediate, "/wait/then": plan.then, "/wait/else": plan.else_}
    with closing(TemplateRenderer(_TIMEOUT_SECONDS)) as templates:
        for pointer, actions in branches.items():
            for index, action in enumerate(actions):
                try:
                    templates.validate(encode_action(action))
                except TemplateFailed as error:
                    raise InvalidRequest(
                        f"a template cannot be filled: {error}", path=f"{pointer}/{index}"
                    ) from None
