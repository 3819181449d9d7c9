"""How a decision about a rule takes effect."""

from __future__ import annotations

from sqlalchemy import Connection, text

from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.segment_index import SegmentIndex
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import (
    RuleArchived,
    RuleDefined,
    RuleDisabled,
    RuleEnabled,
    RuleStatusChanged,
)
from projections.segments.definitions import segments as definitions
from projections.segments.state import rule_runs
from projections.segments.tables import rule_run, rule_version

_LAST = f"""
SELECT enabled, defined, name, description, plan FROM {rule_version}
WHERE workspace = %s AND rule = %s AND until IS NULL
"""

_REPLACE = text(f"""
UPDATE {rule_version} SET until = :position WHERE workspace = :workspace AND rule = :rule AND until IS NULL
""")

_ADD = text(f"""
INSERT INTO {rule_version} SELECT :workspace, :rule, :position, :version, :at, NULL, :enabled, :archived,
    :defined, FALSE, :name, :description, :plan, :actor, :reason
""")

# Of definitions only: their version is what those who wait in them go by.
_UPDATE_FOLLOWED = text(f"""
UPDATE {rule_version} AS said SET followed = NOT followed
WHERE workspace = :workspace AND rule = :rule AND version = defined AND until IS NOT NULL
    AND version < :defined AND followed <> EXISTS (
        SELECT FROM {rule_run} AS waiting
        WHERE waiting.workspace = said.workspace AND waiting.rule = said.rule
            AND waiting.version = said.version AND waiting.due IS NOT NULL
    )
""")


def apply_rule_event(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: RuleDefined | RuleStatusChanged
) -> SegmentIndex:
    """Let a decision take effect at its position, and return what is in effect then."""
    before = definitions.load_segment_index(tx, workspace)
    at = Cause(to_micros(recorded.recorded_at), recorded.position)
    if isinstance(event, RuleDisabled):
        rule_runs.suppress_waiting_runs(tx, workspace, event.rule, "rule_disabled", at)
    elif isinstance(event, RuleArchived):
        rule_runs.suppress_waiting_runs(tx, workspace, event.rule, "rule_archived", at)
    _save_rule_version(tx, workspace, recorded, event, at)
    return definitions.refresh_segment_index(tx, workspace, before, recorded).segment_index


def _save_rule_version(
    tx: Connection,
    workspace: int,
    recorded: RecordedEvent,
    event: RuleDefined | RuleStatusChanged,
    at: Cause,
) -> None:
    last = tx.exec_driver_sql(_LAST, (workspace, event.rule)).first()
    enabled, defined, *said = (False, 0, event.rule, "", b"") if last is None else tuple(last)
    if isinstance(event, RuleDefined):
        defined, said = recorded.version, [event.name, event.description, event.plan]
    else:
        enabled = isinstance(event, RuleEnabled)
    row = {
        "workspace": workspace,
        "rule": event.rule,
        "position": at.position,
        "version": recorded.version,
        "at": at.at,
        "enabled": enabled,
        "archived": isinstance(event, RuleArchived),
        "defined": defined,
        "actor": event.actor,
        "reason": event.reason,
    }
    row |= dict(zip(("name", "description", "plan"), said, strict=True))
    tx.execute(_REPLACE, row)
    tx.execute(_ADD, row)
    tx.execute(_UPDATE_FOLLOWED, row)
