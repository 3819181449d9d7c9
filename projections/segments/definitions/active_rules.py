"""Reads which rules are in effect."""

from __future__ import annotations

from sqlalchemy import Connection

from domain.evaluation.rule_index import Effective, InEffect
from domain.rules.rule import read
from projections.segments.tables import rule

_IN_EFFECT = f"""
SELECT rule, version, defined, plan, until IS NULL AND enabled, until IS NULL AND NOT archived,
    followed
FROM {rule} WHERE workspace = %s AND (until IS NULL OR followed)
"""


def rules(tx: Connection, workspace: int) -> Effective:
    """Return the rules of a workspace as they were last decided, and those that somebody waits in."""
    found, known = list[InEffect](), list[str]()
    for id_, version, defined, plan, acts, is_there, followed in tx.exec_driver_sql(
        _IN_EFFECT, (workspace,)
    ):
        if is_there:
            known.append(id_)
        if acts:
            found.append(InEffect(id_, defined, read(plan)))
        elif followed:
            found.append(InEffect(id_, version, read(plan), takes=False))
    return Effective(found, known)
