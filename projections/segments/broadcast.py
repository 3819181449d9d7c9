"""What concerns no single person sets rules off for everybody in their audience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition
from domain.core.ledger_time import Since
from domain.core.time import to_micros
from domain.evaluation.rule_index import InEffect
from domain.evaluation.rule_runs import Occasion
from domain.evaluation.segment_index import Rule, Rules
from domain.segments.segment import references
from projections.runtime.batch import Message
from projections.segments.state import reader, writer
from projections.segments.state.writer import NOTHING
from projections.segments.tables import member, memory, stream

_CONCERNED = f"""
SELECT person FROM {stream} LEFT JOIN {memory} AS known USING (workspace, stream)
WHERE workspace = %(workspace)s
    AND (coalesce(known.upto, met_by) < %(newest)s OR known.values <> %(nothing)s)
UNION SELECT person FROM {member} WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s)
"""
"""All of whom anything is remembered, or may be once it is looked up, and who are in certain segments."""


def is_heard(rules: Rules, message: Message) -> bool:
    """Say whether a rule listens to such an event."""
    return bool(rules.effective.set_off_by("system_event", message.document.name))


def announce(tx: Connection, workspace: int, rules: Rules, message: Message) -> None:
    """Set off the rules that listen to an event, each for its audience."""
    recorded, document = message.recorded, message.document
    occasion = Occasion(
        "system_event",
        document.name,
        {"name": document.name, "properties": document.properties},
        Since(to_micros(recorded.recorded_at), recorded.position),
        to_micros(message.event.occurred_at),
    )
    heard = rules.effective.set_off_by(occasion.kind, occasion.subject)
    persons = _persons(tx, workspace, rules, list(_conditions(heard, occasion)))
    writer.change(tx, workspace, rules, persons, lambda it: it.announce(occasion))


def _conditions(heard: Iterable[InEffect], occasion: Occasion) -> Iterator[Condition]:
    for it in heard:
        if it.plan.audience is not None and it.plan.matches(occasion.document):
            condition = it.plan.audience.asked(occasion.document)
            if condition is not None:
                yield condition


def _persons(
    tx: Connection, workspace: int, rules: Rules, conditions: Sequence[Condition]
) -> Sequence[UUID]:
    """Return everybody for whom one of the conditions may hold."""
    if not conditions:
        return ()
    asked = Rules([Rule(f"?{at}", it) for at, it in enumerate(conditions)])  # no segment's id
    if asked.at_first_sight:
        return reader.everybody(tx, workspace)
    segments = sorted(frozenset[str]().union(*map(references, conditions)))
    since = [rules.asked[it].since.by for it in asked.memories if it in rules.asked]
    facts = {
        "workspace": workspace,
        "segments": segments,
        "newest": max(since, default=0),
        "nothing": NOTHING,
    }
    return reader.in_order(tx.exec_driver_sql(_CONCERNED, facts).scalars())
