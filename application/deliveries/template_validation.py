"""Looks at the templates of a rule before it is decided on."""

from __future__ import annotations

from contextlib import closing

from application.deliveries.templates import TemplateFailed, Templates
from domain.core.errors import InvalidRequest
from domain.rules.actions import written
from domain.rules.rule import Definition, read

_SECONDS = 5.0
"""How long it may take to read the templates of one action: nobody waits but who wrote them."""


def check(wanted: Definition) -> None:
    """Raise InvalidRequest, with the place of the action, for a template that nobody could fill."""
    plan = read(wanted.plan)
    branches = {"/actions": plan.at_once, "/wait/then": plan.then, "/wait/else": plan.otherwise}
    with closing(Templates(_SECONDS)) as templates:
        for place, actions in branches.items():
            for number, action in enumerate(actions):
                try:
                    templates.check(written(action))
                except TemplateFailed as error:
                    raise InvalidRequest(
                        f"a template cannot be filled: {error}", path=f"{place}/{number}"
                    ) from None
