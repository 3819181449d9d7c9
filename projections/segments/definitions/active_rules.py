"""Loads the active rules of a workspace."""

from __future__ import annotations

from sqlalchemy import Connection

from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.rules.rule import decode_definition
from projections.segments.tables import rule_version

_ACTIVE = f"""
SELECT rule, version, definition_version, definition, replaced_at_position IS NULL AND enabled,
    replaced_at_position IS NULL AND NOT archived, has_waiting_runs
FROM {rule_version} WHERE workspace = %s AND (replaced_at_position IS NULL OR has_waiting_runs)
"""


def load_active_rules(tx: Connection, workspace: int) -> RuleIndex:
    """Returns the enabled rules, and the older definitions by which runs still wait."""
    rules, known_ids = list[ActiveRule](), list[str]()
    for (
        id_,
        version,
        definition_version,
        stored,
        enabled,
        exists,
        has_waiting_runs,
    ) in tx.exec_driver_sql(_ACTIVE, (workspace,)):
        if exists:
            known_ids.append(id_)
        if enabled:
            rules.append(ActiveRule(id_, definition_version, decode_definition(stored)))
        elif has_waiting_runs:
            definition = decode_definition(stored)
            rules.append(ActiveRule(id_, version, definition, accepts_triggers=False))
    return RuleIndex(rules, known_ids)
