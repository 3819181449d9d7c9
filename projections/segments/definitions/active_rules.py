"""Reads which rules are in effect."""

from __future__ import annotations

from sqlalchemy import Connection

from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.rules.rule import decode_definition
from projections.segments.tables import rule_version

_IN_EFFECT = f"""
SELECT rule, version, defined, plan, until IS NULL AND enabled, until IS NULL AND NOT archived,
    followed
FROM {rule_version} WHERE workspace = %s AND (until IS NULL OR followed)
"""


def load_active_rules(tx: Connection, workspace: int) -> RuleIndex:
    """Return the rules of a workspace as they were last decided, and those that somebody waits in."""
    found, known = list[ActiveRule](), list[str]()
    for id_, version, defined, plan, acts, is_there, followed in tx.exec_driver_sql(
        _IN_EFFECT, (workspace,)
    ):
        if is_there:
            known.append(id_)
        if acts:
            found.append(ActiveRule(id_, defined, decode_definition(plan)))
        elif followed:
            found.append(ActiveRule(id_, version, decode_definition(plan), accepts_triggers=False))
    return RuleIndex(found, known)
