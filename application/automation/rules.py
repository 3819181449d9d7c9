"""Commands about automation rules: those of all definitions, and enabling."""

from __future__ import annotations

from application.definitions.ledger_definitions import RULES, LedgerDefinitionService
from application.definitions.store import CommandContext, DefinitionResult
from application.deliveries.template_validation import validate_templates
from domain.definitions.definition import DefinitionVersion
from domain.rules.rule import Rule


class RuleService(LedgerDefinitionService[Rule]):
    """Creates, defines, enables, disables and archives rules; a new rule is disabled."""

    ledger_kind, max_active = RULES, 1_000

    def validate(self, _workspace: int, _id: str | None, definition: DefinitionVersion) -> None:
        """Raises InvalidRequest for a template that cannot be rendered."""
        validate_templates(definition)

    def set_enabled(
        self,
        workspace: int,
        id_: str,
        context: CommandContext,
        *,
        enabled: bool,
        version: int | None = None,
    ) -> DefinitionResult[Rule]:
        """Enables or disables a rule; an enabled rule is triggered by later events.

        Raises NotFound if it does not exist, Conflict for another version than the expected one.
        """
        return self._change_status(
            workspace,
            id_,
            enabled,
            lambda rule, _, actor: rule.enable(actor, enabled=enabled),
            context,
            version=version,
        )
