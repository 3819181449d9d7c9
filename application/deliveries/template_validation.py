"""Validates the templates of a rule before the rule is recorded."""

from __future__ import annotations

from contextlib import closing

from application.deliveries.templates import TemplateFailed, TemplateRenderer
from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from domain.rules.rule import check_definition

_TIMEOUT_SECONDS = 5.0
"""Time limit to parse one action's templates; generous, as only the author of the rule waits."""


def validate_templates(definition: DefinitionVersion) -> None:
    """Raises InvalidRequest, with a JSON pointer to the action, for an invalid template."""
    plan = check_definition(definition.document)
    branches = {"/actions": plan.immediate, "/wait/then": plan.then, "/wait/else": plan.else_}
    with closing(TemplateRenderer(_TIMEOUT_SECONDS)) as templates:
        for pointer, actions in branches.items():
            for index, action in enumerate(actions):
                try:
                    templates.validate(action.encode())
                except TemplateFailed as error:
                    raise InvalidRequest(
                        f"the template is not valid: {error}", path=f"{pointer}/{index}"
                    ) from None
