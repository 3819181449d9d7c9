"""What somebody did before it was asked for is looked up when they are next met, not when it is asked for.

So what a new segment costs does not depend on how many people did what it looks at.  Until then their
memories lack what was asked for after `Stream.upto`; the timeline has it, with positions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection

from domain.evaluation.accumulators import AccumulatorValue
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import Registration, SegmentIndex
from projections.segments.backfill import sql
from projections.segments.backfill.sql import AccumulatorRun, BackfilledValues

NO_VALUES: BackfilledValues = {}


def backfill_streams(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    streams: Mapping[UUID, StreamState],
    backfilled: BackfilledValues = NO_VALUES,
    *,
    only_keys: Collection[str] | None = None,
) -> None:
    """Have streams remember all that is asked for by now.

    ``looked``: what was just looked up of all of them; ``only``: the keys that matter, of people of whom
    nothing is written.  Raises TimelineBehind if the timeline has not got as far as it had when that was asked for.
    """
    late = {id_: it for id_, it in streams.items() if it.backfilled_to < index.newest_registration}
    if not late:
        return
    asked = index.registered_after(min(it.backfilled_to for it in late.values()))
    missing = {
        key: it
        for key, it in asked.items()
        if key not in backfilled and (only_keys is None or key in only_keys)
    }
    found: dict[UUID, dict[str, tuple[AccumulatorValue, int]]] = {id_: {} for id_ in late}
    for key, values in {
        **backfilled,
        **_aggregate_missing(tx, workspace, index, missing, late),
    }.items():
        at, by = asked[key].since
        # Who is late did nothing since then that it looks at, for they would have been met.
        for id_ in late.keys() & values.keys():
            if late[id_].backfilled_to < by:
                found[id_][key] = values[id_], at
    for id_, it in late.items():
        noted = any(it.backfilled_to < each.since.position for each in missing.values())
        it.apply_backfill(found[id_], index.newest_registration, save_watermark=noted)


def _aggregate_missing(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    missing: Mapping[str, Registration],
    lagging: Mapping[UUID, StreamState],
) -> BackfilledValues:
    """Return what is missing of the streams, by key."""
    if not missing:
        return {}
    last = max(it.since.position for it in missing.values())
    sql.require_timeline_at(tx, workspace, last)
    gatherings = [
        AccumulatorRun(index.accumulators[key], it.since.at) for key, it in missing.items()
    ]
    return sql.aggregate_in_python(tx, workspace, gatherings, last, streams=list(lagging))
