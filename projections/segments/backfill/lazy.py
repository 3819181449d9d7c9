"""Lazy backfill: loads a profile's history for a new accumulator with its next event.

So the cost of a new segment does not depend on how many profiles have events that it looks at.  Until then
a stream lacks the accumulators that were registered after its ``backfilled_to``; the timeline has the
events, with their positions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions.accumulators import AccumulatorValue
from domain.evaluation.profile_context import StreamState
from domain.evaluation.registrations import Registration
from domain.evaluation.segment_index import SegmentIndex
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
    """Completes streams with all accumulators that are registered by now.

    ``backfilled`` has values that were just computed for all streams.  ``only_keys`` limits the work to
    some keys, for callers that save nothing.  Raises TimelineBehind unless the timeline is as far as it was
    when the accumulators were registered.
    """
    lagging = {
        id_: stream
        for id_, stream in streams.items()
        if stream.backfilled_to < index.registrations.newest
    }
    if not lagging:
        return
    oldest = min(stream.backfilled_to for stream in lagging.values())
    registrations = index.registrations.after(oldest)
    missing = {
        key: registration
        for key, registration in registrations.items()
        if key not in backfilled and (only_keys is None or key in only_keys)
    }
    values_by_key = {
        **backfilled,
        **_aggregate_missing(tx, workspace, index, missing, lagging),
    }
    values_of: dict[UUID, dict[str, tuple[AccumulatorValue, int]]] = {id_: {} for id_ in lagging}
    for key, values in values_by_key.items():
        at, position = registrations[key].since
        # A stream that lags had no event for this accumulator since its registration: that would have
        # completed it.
        for id_ in lagging.keys() & values.keys():
            if lagging[id_].backfilled_to < position:
                values_of[id_][key] = values[id_], at
    for id_, stream in lagging.items():
        save_watermark = any(
            stream.backfilled_to < registration.since.position for registration in missing.values()
        )
        stream.apply_backfill(
            values_of[id_], index.registrations.newest, save_watermark=save_watermark
        )


def _aggregate_missing(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    missing: Mapping[str, Registration],
    lagging: Mapping[UUID, StreamState],
) -> BackfilledValues:
    """Returns the values of missing accumulators of the streams."""
    if not missing:
        return {}
    last = max(registration.since.position for registration in missing.values())
    sql.require_timeline_at(tx, workspace, last)
    accumulator_runs = [
        AccumulatorRun(index.accumulators[key], registration.since.at)
        for key, registration in missing.items()
    ]
    return sql.aggregate_in_python(tx, workspace, accumulator_runs, last, streams=list(lagging))
