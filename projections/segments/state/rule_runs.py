"""Loads and saves runs of rules: those that wait, and those that are to fire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection

from domain.core.ledger_time import Cause
from domain.evaluation.rule_index import RuleIndex
from domain.evaluation.rule_runs import DueFiring, RuleRun, decode_context
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import TriggerFired
from projections.kit.driver import binary_cursor, execute_with_arrays, insert_rows
from projections.segments.tables import rule_run, rule_version

_WAITING = f"""
SELECT rule, version, cause, stream, profile, triggered_at, triggered_position, reason, outcome_at,
    outcome_position, due_at, context
FROM {rule_run} WHERE workspace = %s AND stream = ANY(%b) AND due_at IS NOT NULL
"""

# Row by row through the primary key, by cause, and by no index of rules: without statistics the planner
# reads all runs of a rule for each row otherwise (measured: 5 s for some hundred of 20,000).
_LOCATE = f"""
CROSS JOIN LATERAL (
    SELECT ctid AS row_id FROM {rule_run} AS candidate
    WHERE candidate.workspace = %s AND candidate.cause = changed.cause
        AND (candidate.rule, candidate.version) IS NOT DISTINCT FROM (changed.rule, changed.version)
    OFFSET 0
) AS located
WHERE stored.ctid = located.row_id
"""

_UPDATE = f"""
UPDATE {rule_run} AS stored SET profile = changed.profile, outcome = changed.outcome,
    reason = changed.reason, outcome_at = changed.outcome_at,
    outcome_position = changed.outcome_position, due_at = changed.due_at, context = changed.context
FROM unnest(%b::text[], %b::int[], %b::text[], %b::uuid[], %b::text[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bytea[]) AS changed
    (rule, version, cause, profile, outcome, reason, outcome_at, outcome_position, due_at, context)
{_LOCATE}
"""

_MARK_FIRED = f"""
UPDATE {rule_run} AS stored SET fired_position = changed.position
FROM unnest(%b::text[], %b::int[], %b::text[], %b::bigint[])
    AS changed (rule, version, cause, position)
{_LOCATE}
"""

_SUPPRESS = f"""
UPDATE {rule_run} SET outcome = 'suppressed', reason = %(reason)s, outcome_at = %(at)s,
    outcome_position = %(position)s, due_at = NULL, context = ''
WHERE workspace = %(workspace)s AND rule = %(rule)s AND due_at IS NOT NULL
"""

_DUE_FIRINGS = f"""
SELECT run.rule, run.version, cause, stream, profile, run.reason, outcome_at, context,
    (SELECT definition FROM {rule_version} AS stored
     WHERE stored.workspace = run.workspace AND stored.rule = run.rule AND stored.version = run.version)
FROM {rule_run} AS run
WHERE workspace = %s AND outcome = 'fired' AND fired_position IS NULL AND outcome_at >= %s
ORDER BY outcome_at, priority DESC, triggered_position, rule, version, cause LIMIT %s
"""

_WORKSPACES_WITH_DUE_FIRINGS = f"""
SELECT DISTINCT workspace FROM {rule_run} WHERE outcome = 'fired' AND fired_position IS NULL
"""

_WORKSPACES_WITH_RULES = f"SELECT DISTINCT workspace FROM {rule_version}"


def load_waiting_runs(
    tx: Connection, workspace: int, streams: Collection[UUID]
) -> Mapping[UUID, list[RuleRun]]:
    """Returns the waiting runs of streams, by stream."""
    runs: dict[UUID, list[RuleRun]] = defaultdict(list)
    with binary_cursor(tx) as cursor:
        for (
            rule,
            version,
            cause,
            stream,
            profile,
            triggered_at,
            triggered_position,
            reason,
            outcome_at,
            outcome_position,
            due_at,
            context,
        ) in cursor.execute(_WAITING, (workspace, list(streams))).fetchall():
            run = RuleRun(
                rule,
                version,
                cause,
                stream,
                profile,
                Cause(triggered_at, triggered_position),
                "waiting",
                reason,
                Cause(outcome_at, outcome_position),
                due_at,
                context,
            )
            runs[stream].append(run)
    return runs


def save_runs(
    tx: Connection,
    workspace: int,
    rule_index: RuleIndex,
    before: Mapping[UUID, list[RuleRun]],
    changed: Mapping[tuple[str, int, str], RuleRun],
) -> None:
    """Inserts new runs and updates those that were loaded, by stream, as ``before``.

    ``changed`` are by key.
    """
    known = {run.key for runs in before.values() for run in runs}
    inserted = [
        (
            workspace,
            *key,
            run.stream,
            run.profile_id,
            *run.started,
            run.outcome,
            run.reason,
            *run.since,
            run.due,
            rule_index.definitions[run.rule, run.version].options.priority,
            run.context,
            None,
        )
        for key, run in changed.items()
        if key not in known
    ]
    insert_rows(tx, rule_run, inserted)
    updated = [
        (*key, run.profile_id, run.outcome, run.reason, *run.since, run.due, run.context)
        for key, run in changed.items()
        if key in known
    ]
    execute_with_arrays(tx, _UPDATE, workspace, updated)


def suppress_waiting_runs(
    tx: Connection, workspace: int, rule: str, reason: str, cause: Cause
) -> None:
    """Suppresses all waiting runs of a rule."""
    params = {
        "workspace": workspace,
        "rule": rule,
        "reason": reason,
        "at": cause.at,
        "position": cause.position,
    }
    tx.exec_driver_sql(_SUPPRESS, params)


def mark_fired(tx: Connection, workspace: int, records: Sequence[RecordedEvent]) -> None:
    """Marks the runs that the ledger has recorded as fired."""
    fired = [
        (record.event.rule, record.event.rule_version, record.event.cause, record.position)
        for record in records
        if isinstance(record.event, TriggerFired)
    ]
    execute_with_arrays(tx, _MARK_FIRED, workspace, fired)


def load_due_firings(tx: Connection, workspace: int, since: int, limit: int) -> Sequence[DueFiring]:
    """Returns firings that the ledger has not recorded yet, the earliest first.

    Only those that are due at ``since`` or later, in microseconds since 1970 UTC.
    """
    with binary_cursor(tx) as cursor:
        rows = cursor.execute(_DUE_FIRINGS, (workspace, since, limit)).fetchall()
    return [
        DueFiring(
            rule, version, cause, stream, profile, branch, at, decode_context(context), definition
        )
        for rule, version, cause, stream, profile, branch, at, context, definition in rows
    ]


def workspaces_with_due_firings(tx: Connection) -> Sequence[int]:
    """Returns the workspaces with firings that the ledger has not recorded yet."""
    return tx.exec_driver_sql(_WORKSPACES_WITH_DUE_FIRINGS).scalars().all()


def workspaces_with_rules(tx: Connection) -> Sequence[int]:
    """Returns the workspaces that have, or had, a rule."""
    return list(tx.exec_driver_sql(_WORKSPACES_WITH_RULES).scalars())
