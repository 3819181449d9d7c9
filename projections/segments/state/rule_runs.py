"""Reads and writes what rules did, and what they wait for."""

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
SELECT rule, version, cause, stream, person, set_off_at, set_off_by, reason, since_at, since_by,
    due, context
FROM {rule_run} WHERE workspace = %s AND stream = ANY(%b) AND due IS NOT NULL
"""

# Row by row, by what set it off, and by no index of rules: else, as long as there are no statistics, all that
# ever set a rule off is read for each (measured: 5 s for some hundred of 20,000).
_LOCATE = f"""
CROSS JOIN LATERAL (
    SELECT ctid AS place FROM {rule_run} AS it
    WHERE it.workspace = %s AND it.cause = new.cause
        AND (it.rule, it.version) IS NOT DISTINCT FROM (new.rule, new.version)
    OFFSET 0
) AS found
WHERE known.ctid = found.place
"""

_UPDATE = f"""
UPDATE {rule_run} AS known SET person = new.person, outcome = new.outcome, reason = new.reason,
    since_at = new.since_at, since_by = new.since_by, due = new.due, context = new.context
FROM unnest(%b::text[], %b::int[], %b::text[], %b::uuid[], %b::text[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bytea[])
    AS new (rule, version, cause, person, outcome, reason, since_at, since_by, due, context)
{_LOCATE}
"""

_MARK_FIRED = f"""
UPDATE {rule_run} AS known SET fired = new.position
FROM unnest(%b::text[], %b::int[], %b::text[], %b::bigint[]) AS new (rule, version, cause, position)
{_LOCATE}
"""

_SUPPRESS = f"""
UPDATE {rule_run} SET outcome = 'suppressed', reason = %(reason)s, since_at = %(at)s,
    since_by = %(by)s, due = NULL, context = ''
WHERE workspace = %(workspace)s AND rule = %(rule)s AND due IS NOT NULL
"""

_DUE_FIRINGS = f"""
SELECT done.rule, done.version, cause, stream, person, done.reason, since_at, context,
    (SELECT plan FROM {rule_version} AS said
     WHERE said.workspace = done.workspace AND said.rule = done.rule AND said.version = done.version)
FROM {rule_run} AS done
WHERE workspace = %s AND outcome = 'fired' AND fired IS NULL AND since_at >= %s
ORDER BY since_at, priority DESC, set_off_by, rule, version, cause LIMIT %s
"""


_WORKSPACES = f"SELECT DISTINCT workspace FROM {rule_run} WHERE outcome = 'fired' AND fired IS NULL"

_WITH_RULES = f"SELECT DISTINCT workspace FROM {rule_version}"


def load_waiting_runs(
    tx: Connection, workspace: int, streams: Collection[UUID]
) -> Mapping[UUID, list[RuleRun]]:
    """Return the runs that wait in the name of streams, by stream."""
    found: dict[UUID, list[RuleRun]] = defaultdict(list)
    with binary_cursor(tx) as ask:
        for row in ask.execute(_WAITING, (workspace, list(streams))).fetchall():
            name, version, cause, stream, person, at, by, reason, since, since_by, due, kept = row
            run = RuleRun(
                name,
                version,
                cause,
                stream,
                person,
                Cause(at, by),
                "waiting",
                reason,
                Cause(since, since_by),
                due,
                kept,
            )
            found[stream].append(run)
    return found


def save_runs(
    tx: Connection,
    workspace: int,
    rules: RuleIndex,
    before: Mapping[UUID, list[RuleRun]],
    changed: Collection[RuleRun],
) -> None:
    """Write what is different from before."""
    known = {it.key for runs in before.values() for it in runs}
    new = [
        (
            workspace,
            *it.key,
            it.stream,
            it.profile_id,
            *it.started,
            it.outcome,
            it.reason,
            *it.since,
            it.due,
            rules.definitions[it.rule, it.version].options.priority,
            it.context,
            None,
        )
        for it in changed
        if it.key not in known
    ]
    insert_rows(tx, rule_run, new)
    moved = [
        (*it.key, it.profile_id, it.outcome, it.reason, *it.since, it.due, it.context)
        for it in changed
        if it.key in known
    ]
    execute_with_arrays(tx, _UPDATE, workspace, moved)


def suppress_waiting_runs(
    tx: Connection, workspace: int, rule: str, reason: str, cause: Cause
) -> None:
    """Let nobody wait in a rule any more."""
    asked = {
        "workspace": workspace,
        "rule": rule,
        "reason": reason,
        "at": cause.at,
        "by": cause.position,
    }
    tx.exec_driver_sql(_SUPPRESS, asked)


def mark_fired(tx: Connection, workspace: int, records: Sequence[RecordedEvent]) -> None:
    """Note which triggers the ledger has."""
    fired = [
        (it.event.rule, it.event.rule_version, it.event.cause, it.position)
        for it in records
        if isinstance(it.event, TriggerFired)
    ]
    execute_with_arrays(tx, _MARK_FIRED, workspace, fired)


def load_due_firings(tx: Connection, workspace: int, since: int, limit: int) -> Sequence[DueFiring]:
    """Return triggers that are due since an instant or later and that the ledger does not have yet."""
    with binary_cursor(tx) as ask:
        rows = ask.execute(_DUE_FIRINGS, (workspace, since, limit)).fetchall()
    return [
        DueFiring(name, version, cause, stream, person, branch, at, decode_context(context), plan)
        for name, version, cause, stream, person, branch, at, context, plan in rows
    ]


def workspaces_with_due_firings(tx: Connection) -> Sequence[int]:
    """Return the workspaces in which a trigger may be due that the ledger does not have yet."""
    return tx.exec_driver_sql(_WORKSPACES).scalars().all()


def workspaces_with_rules(tx: Connection) -> Sequence[int]:
    """Return the workspaces in which there is, or was, a rule."""
    return list(tx.exec_driver_sql(_WITH_RULES).scalars())
