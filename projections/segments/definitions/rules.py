"""Applies definitions of rules, and changes of their status."""

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
from projections.segments.definitions.index import load_segment_index, refresh_segment_index
from projections.segments.state import rule_runs
from projections.segments.tables import rule_run, rule_version

_CURRENT_VERSION = f"""
SELECT enabled, definition_version, name, description, definition FROM {rule_version}
WHERE workspace = %s AND rule = %s AND replaced_at_position IS NULL
"""

_REPLACE = text(f"""
UPDATE {rule_version} SET replaced_at_position = :position
WHERE workspace = :workspace AND rule = :rule AND replaced_at_position IS NULL
""")

_ADD = text(f"""
INSERT INTO {rule_version} SELECT :workspace, :rule, :position, :version, :at, NULL, :enabled, :archived,
    :definition_version, FALSE, :name, :description, :definition, :actor, :reason
""")

# Of versions that are definitions only: waiting runs go by the version of their definition.
_UPDATE_HAS_WAITING_RUNS = text(f"""
UPDATE {rule_version} AS stored SET has_waiting_runs = NOT has_waiting_runs
WHERE workspace = :workspace AND rule = :rule AND version = definition_version
    AND replaced_at_position IS NOT NULL AND version < :definition_version
    AND has_waiting_runs <> EXISTS (
        SELECT FROM {rule_run} AS waiting
        WHERE waiting.workspace = stored.workspace AND waiting.rule = stored.rule
            AND waiting.version = stored.version AND waiting.due_at IS NOT NULL
    )
""")


def apply_rule_event(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: RuleDefined | RuleStatusChanged
) -> SegmentIndex:
    """Applies a rule's new version at its position; returns the index from then on."""
    before = load_segment_index(tx, workspace)
    cause = Cause(to_micros(recorded.recorded_at), recorded.position)
    if isinstance(event, RuleDisabled):
        rule_runs.suppress_waiting_runs(tx, workspace, event.rule, "rule_disabled", cause)
    elif isinstance(event, RuleArchived):
        rule_runs.suppress_waiting_runs(tx, workspace, event.rule, "rule_archived", cause)
    _save_rule_version(tx, workspace, recorded, event, cause)
    return refresh_segment_index(tx, workspace, before, recorded).segment_index


def _save_rule_version(
    tx: Connection,
    workspace: int,
    recorded: RecordedEvent,
    event: RuleDefined | RuleStatusChanged,
    cause: Cause,
) -> None:
    current = tx.exec_driver_sql(_CURRENT_VERSION, (workspace, event.rule)).first()
    if current is None:
        enabled, definition_version, document = False, 0, (event.rule, "", b"")
    else:
        enabled, definition_version, *stored = tuple(current)
        document = tuple(stored)
    if isinstance(event, RuleDefined):
        definition_version = recorded.version
        document = (event.name, event.description, event.plan)
    else:
        enabled = isinstance(event, RuleEnabled)
    params = {
        "workspace": workspace,
        "rule": event.rule,
        "position": cause.position,
        "version": recorded.version,
        "at": cause.at,
        "enabled": enabled,
        "archived": isinstance(event, RuleArchived),
        "definition_version": definition_version,
        "actor": event.actor,
        "reason": event.reason,
    }
    params |= dict(zip(("name", "description", "definition"), document, strict=True))
    tx.execute(_REPLACE, params)
    tx.execute(_ADD, params)
    tx.execute(_UPDATE_HAS_WAITING_RUNS, params)
