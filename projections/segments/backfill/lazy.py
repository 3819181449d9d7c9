"""What somebody did before it was asked for is looked up when they are next met, not when it is asked for.

So what a new segment costs does not depend on how many people did what it looks at.  Until then their
memories lack what was asked for after `Stream.upto`; the timeline has it, with positions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection

from domain.evaluation.profile_context import Stream
from domain.evaluation.segment_index import Asked, Rules
from domain.evaluation.summaries import Value
from projections.segments.backfill import sql
from projections.segments.backfill.sql import Filled, Gathering

NOTHING: Filled = {}


def recall(
    tx: Connection,
    workspace: int,
    rules: Rules,
    streams: Mapping[UUID, Stream],
    looked: Filled = NOTHING,
    *,
    only: Collection[str] | None = None,
) -> None:
    """Have streams remember all that is asked for by now.

    ``looked``: what was just looked up of all of them; ``only``: the keys that matter, of people of whom
    nothing is written.  Raises TimelineBehind if the timeline has not got as far as it had when that was asked for.
    """
    late = {id_: it for id_, it in streams.items() if it.upto < rules.newest}
    if not late:
        return
    asked = rules.asked_after(min(it.upto for it in late.values()))
    missing = {
        key: it for key, it in asked.items() if key not in looked and (only is None or key in only)
    }
    found: dict[UUID, dict[str, tuple[Value, int]]] = {id_: {} for id_ in late}
    for key, values in {**looked, **_look_up(tx, workspace, rules, missing, late)}.items():
        at, by = asked[key].since
        # Who is late did nothing since then that it looks at, for they would have been met.
        for id_ in late.keys() & values.keys():
            if late[id_].upto < by:
                found[id_][key] = values[id_], at
    for id_, it in late.items():
        noted = any(it.upto < each.since.by for each in missing.values())
        it.recall(found[id_], rules.newest, noted=noted)


def _look_up(
    tx: Connection,
    workspace: int,
    rules: Rules,
    missing: Mapping[str, Asked],
    late: Mapping[UUID, Stream],
) -> Filled:
    """Return what is missing of the streams, by key."""
    if not missing:
        return {}
    last = max(it.since.by for it in missing.values())
    sql.check(tx, workspace, last)
    gatherings = [Gathering(rules.memories[key], it.since.at) for key, it in missing.items()]
    return sql.gather_all(tx, workspace, gatherings, last, streams=list(late))
