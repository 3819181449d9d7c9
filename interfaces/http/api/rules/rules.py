"""Rules as the API serves them: what differs from other definitions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Raw

from application.automation.rules import RuleService
from application.definitions.store import CommandContext, DefinitionResult
from domain.definitions.definition import DefinitionVersion
from domain.rules import rule as rules
from interfaces.http.api.rules.schemas import (
    Rule,
    RuleCreate,
    RulePath,
    RuleReplace,
    RuleRevision,
    RuleRevisionList,
)
from interfaces.http.kit.command import StatusRequest
from interfaces.http.kit.definition_resource import Command, Resource, Schemas, Summaries


def _definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "rule": Raw(definition.document),
        "warnings": rules.definition_warnings(definition.document),
    }


def _status_commands(commands: RuleService) -> Sequence[Command]:
    def set_enabled(
        workspace: int, id_: str, payload: Any, context: CommandContext, *, enabled: bool
    ) -> DefinitionResult[rules.Rule]:
        return commands.set_enabled(
            workspace, id_, context, enabled=enabled, version=payload.version
        )

    return [
        Command(
            "POST",
            f"{RULES.path}/{verb}",
            f"{verb}_rule",
            summary,
            body=StatusRequest,
            answer=Rule,
            run=partial(set_enabled, enabled=verb == "enable"),
        )
        for verb, summary in (
            ("enable", "Enable a rule"),
            ("disable", "Disable a rule; its waiting runs are cancelled"),
        )
    ]


RULES = Resource(
    "/v1/rules",
    "rule",
    "rules",
    lambda service: RuleService(service.ledger),
    schemas=Schemas(RulePath, RuleCreate, RuleReplace, Rule, RuleRevision, RuleRevisionList),
    summaries=Summaries(
        "Create a rule, disabled",
        "Create or replace a rule; enabled rules stay enabled",
        "Archive a rule; its history is kept",
        "List a rule's definitions and status changes with actor, time and reason",
    ),
    archived=Rule,
    definition_json=_definition_json,
    state_json=lambda rule: {"enabled": rule.enabled},
    more_commands=_status_commands,
)
