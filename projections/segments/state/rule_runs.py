"""Reads and writes what rules did, and what they wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection

from domain.core.ledger_time import Since
from domain.evaluation.rule_index import Effective
from domain.evaluation.rule_runs import Due, Run, decode_context
from domain.events.recorded import Recorded
from domain.events.rule_events import TriggerFired
from projections.kit.driver import cursor, each, insert
from projections.segments.tables import rule, trigger

_WAITING = f"""
SELECT rule, version, cause, stream, person, set_off_at, set_off_by, reason, since_at, since_by,
    due, context
FROM {trigger} WHERE workspace = %s AND stream = ANY(%b) AND due IS NOT NULL
"""

# Row by row, by what set it off, and by no index of rules: else, as long as there are no statistics, all that
# ever set a rule off is read for each (measured: 5 s for some hundred of 20,000).
_PLACE = f"""
CROSS JOIN LATERAL (
    SELECT ctid AS place FROM {trigger} AS it
    WHERE it.workspace = %s AND it.cause = new.cause
        AND (it.rule, it.version) IS NOT DISTINCT FROM (new.rule, new.version)
    OFFSET 0
) AS found
WHERE known.ctid = found.place
"""

_MOVE = f"""
UPDATE {trigger} AS known SET person = new.person, outcome = new.outcome, reason = new.reason,
    since_at = new.since_at, since_by = new.since_by, due = new.due, context = new.context
FROM unnest(%b::text[], %b::int[], %b::text[], %b::uuid[], %b::text[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bytea[])
    AS new (rule, version, cause, person, outcome, reason, since_at, since_by, due, context)
{_PLACE}
"""

_MARK = f"""
UPDATE {trigger} AS known SET fired = new.position
FROM unnest(%b::text[], %b::int[], %b::text[], %b::bigint[]) AS new (rule, version, cause, position)
{_PLACE}
"""

_STOP = f"""
UPDATE {trigger} SET outcome = 'suppressed', reason = %(reason)s, since_at = %(at)s,
    since_by = %(by)s, due = NULL, context = ''
WHERE workspace = %(workspace)s AND rule = %(rule)s AND due IS NOT NULL
"""

_TO_FIRE = f"""
SELECT done.rule, done.version, cause, stream, person, done.reason, since_at, context,
    (SELECT plan FROM {rule} AS said
     WHERE said.workspace = done.workspace AND said.rule = done.rule AND said.version = done.version)
FROM {trigger} AS done
WHERE workspace = %s AND outcome = 'fired' AND fired IS NULL AND since_at >= %s
ORDER BY since_at, priority DESC, set_off_by, rule, version, cause LIMIT %s
"""


_WORKSPACES = f"SELECT DISTINCT workspace FROM {trigger} WHERE outcome = 'fired' AND fired IS NULL"

_WITH_RULES = f"SELECT DISTINCT workspace FROM {rule}"


def waiting(tx: Connection, workspace: int, streams: Collection[UUID]) -> Mapping[UUID, list[Run]]:
    """Return the runs that wait in the name of streams, by stream."""
    found: dict[UUID, list[Run]] = defaultdict(list)
    with cursor(tx) as ask:
        for row in ask.execute(_WAITING, (workspace, list(streams))).fetchall():
            name, version, cause, stream, person, at, by, reason, since, since_by, due, kept = row
            run = Run(
                name,
                version,
                cause,
                stream,
                person,
                Since(at, by),
                "waiting",
                reason,
                Since(since, since_by),
                due,
                kept,
            )
            found[stream].append(run)
    return found


def save(
    tx: Connection,
    workspace: int,
    effective: Effective,
    before: Mapping[UUID, list[Run]],
    changed: Collection[Run],
) -> None:
    """Write what is different from before."""
    known = {it.key for runs in before.values() for it in runs}
    new = [
        (
            workspace,
            *it.key,
            it.stream,
            it.person,
            *it.set_off,
            it.outcome,
            it.reason,
            *it.since,
            it.due,
            effective.plans[it.rule, it.version].settings.priority,
            it.context,
            None,
        )
        for it in changed
        if it.key not in known
    ]
    insert(tx, trigger, new)
    moved = [
        (*it.key, it.person, it.outcome, it.reason, *it.since, it.due, it.context)
        for it in changed
        if it.key in known
    ]
    each(tx, _MOVE, workspace, moved)


def stop(tx: Connection, workspace: int, name: str, reason: str, at: Since) -> None:
    """Let nobody wait in a rule any more."""
    asked = {"workspace": workspace, "rule": name, "reason": reason, "at": at.at, "by": at.by}
    tx.exec_driver_sql(_STOP, asked)


def mark(tx: Connection, workspace: int, records: Sequence[Recorded]) -> None:
    """Note which triggers the ledger has."""
    fired = [
        (it.event.rule, it.event.rule_version, it.event.cause, it.position)
        for it in records
        if isinstance(it.event, TriggerFired)
    ]
    each(tx, _MARK, workspace, fired)


def to_fire(tx: Connection, workspace: int, since: int, limit: int) -> Sequence[Due]:
    """Return triggers that are due since an instant or later and that the ledger does not have yet."""
    with cursor(tx) as ask:
        rows = ask.execute(_TO_FIRE, (workspace, since, limit)).fetchall()
    return [
        Due(name, version, cause, stream, person, branch, at, decode_context(context), plan)
        for name, version, cause, stream, person, branch, at, context, plan in rows
    ]


def workspaces_to_fire(tx: Connection) -> Sequence[int]:
    """Return the workspaces in which a trigger may be due that the ledger does not have yet."""
    return tx.exec_driver_sql(_WORKSPACES).scalars().all()


def workspaces_with_rules(tx: Connection) -> Sequence[int]:
    """Return the workspaces in which there is, or was, a rule."""
    return list(tx.exec_driver_sql(_WITH_RULES).scalars())
