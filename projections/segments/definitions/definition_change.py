"""How a decision settles: whom it may concern is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import EvaluationInput
from domain.core.ledger_time import Cause
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.segments.segment import referenced_segments
from projections.segments.backfill import bulk, sql
from projections.segments.backfill.sql import BackfilledValues
from projections.segments.state import reader, writer
from projections.segments.tables import member, stream

_PROFILES = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %s AND stream = ANY(%b)"

_MEMBERS = f"""
SELECT DISTINCT person FROM {member} WHERE workspace = %s AND segment = ANY(%s)
"""


class DefinitionChange(NamedTuple):
    """What is in effect after a decision."""

    segment_index: SegmentIndex
    cause: Cause
    new_accumulators: Sequence[str]
    """Keys of what is remembered from now on."""


def populate(tx: Connection, workspace: int, change: DefinitionChange, ordinal: int) -> None:
    """Ask about a segment that was not there before: of most people the server can tell at once."""
    rules, rule = change.segment_index, change.segment_index.segments[ordinal]
    set_off = [rules.rule_index.triggered_by(it, rule.id) for it in ("entered", "left")]
    concerns_others = ordinal in rules.dependents or any(set_off)
    members = (
        None if concerns_others else bulk.compile_members_query(rule.condition, change.cause.at)
    )
    if members is None:
        reevaluate(tx, workspace, change, {ordinal})
        return
    sql.require_timeline_at(tx, workspace, change.cause.position)
    unsure = reader.sort_ids(members.insert_members(tx, workspace, rule, change.cause))
    writer.update_profiles(
        tx, workspace, rules, unsure, lambda it: it.apply_definition({ordinal}, change.cause)
    )


def reevaluate(
    tx: Connection, workspace: int, change: DefinitionChange, ordinals: Collection[int]
) -> None:
    """Ask whom it may concern whether they are in segments that were decided about."""
    if not ordinals:
        return
    rules, new = (
        change.segment_index,
        [change.segment_index.accumulators[it] for it in change.new_accumulators],
    )
    looked = sql.backfill_values(tx, workspace, new, change.cause)
    segments = [rules.segments[it].id for it in sorted(ordinals)]
    everybody = _may_affect_all_profiles(change, ordinals)
    if everybody:
        members, persons = frozenset[UUID](), frozenset(reader.all_profiles(tx, workspace))
    else:
        found = list(set[UUID]().union(*looked.values()))
        members = frozenset(tx.exec_driver_sql(_MEMBERS, (workspace, segments)).scalars())
        persons = members.union(tx.exec_driver_sql(_PROFILES, (workspace, found)).scalars())
    plain = not everybody and rules.profile_fact_keys.isdisjoint(change.new_accumulators)
    for some in reader.chunks(reader.sort_ids(persons)):
        streams = reader.load_streams(tx, workspace, (), some)
        if plain:
            out = _confirmed_non_members(change, ordinals, streams, looked)
            streams = {
                id_: it
                for id_, it in streams.items()
                if it.owner.profile_id in members or it.owner.profile_id not in out
            }
        kept = reader.load_state(tx, workspace, rules, streams, looked)
        people = reader.make_evaluator(rules, kept)
        people.apply_definition(ordinals, change.cause)
        writer.save_state(tx, workspace, rules, kept, people)


def _confirmed_non_members(
    change: DefinitionChange,
    ordinals: Collection[int],
    streams: Mapping[UUID, StreamState],
    backfilled: BackfilledValues,
) -> set[UUID]:
    """Return who of one name is in none of the segments, and will not be by itself.

    Of most people it is so; what was looked up of them is looked up again when they are next met.
    """
    answers, clock = [change.segment_index.predicates[it] for it in ordinals], change.cause.at
    names, out = Counter(it.owner.profile_id for it in streams.values()), set[UUID]()
    for id_, it in streams.items():
        known = EvaluationInput(
            {key: values[id_] for key, values in backfilled.items() if id_ in values}
        )
        person = it.owner.profile_id
        if names[person] == 1 and all(ask(known, clock) == (False, None) for ask in answers):
            out.add(person)
    return out


def _may_affect_all_profiles(change: DefinitionChange, ordinals: Collection[int]) -> bool:
    rules = change.segment_index
    keys = {key for key, users in rules.readers.items() if not users.isdisjoint(ordinals)}
    # Who has a memory that was there before is known only by looking at everybody.
    return bool(
        not rules.always_evaluate.isdisjoint(ordinals)
        or any(referenced_segments(rules.segments[it].condition) for it in ordinals)
        or keys.difference(change.new_accumulators)
    )
