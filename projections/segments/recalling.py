"""What somebody did before it was asked for is looked up when they are next met, not when it is asked for.

So what a new segment costs does not depend on how many people did what it looks at.  Until then their
memories lack what was asked for after `Stream.upto`; the timeline has it, with positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.known import Stream
from domain.memories import Value
from domain.rules import Asked, Rules
from domain.since import Since
from projections.segments import backfill
from projections.segments.backfill import Filled


class Looked(NamedTuple):
    """What was just looked up for all streams, and since when it is remembered."""

    filled: Filled
    since: Since


NOTHING = Looked({}, Since(0, 0))


def recall(
    tx: Connection,
    workspace: int,
    rules: Rules,
    streams: Mapping[UUID, Stream],
    looked: Looked = NOTHING,
) -> None:
    """Have streams remember all that is asked for by now.

    Raises TimelineBehind if the timeline has not got as far as it had when that was asked for.
    """
    late = {id_: it for id_, it in streams.items() if it.upto < rules.newest}
    if not late:
        return
    asked = rules.asked_after(min(it.upto for it in late.values()))
    found: dict[UUID, dict[str, tuple[Value, int]]] = {id_: {} for id_ in late}
    for key, values in looked.filled.items():
        for id_ in late.keys() & values.keys():
            found[id_][key] = values[id_], looked.since.at
    missing = {key: it for key, it in asked.items() if key not in looked.filled}
    if missing:
        for id_, theirs in _look_up(tx, workspace, rules, missing, late).items():
            found[id_] |= {key: (value, asked[key].since.at) for key, value in theirs.items()}
    for id_, it in late.items():
        it.recall(found[id_], rules.newest, noted=bool(missing))


def _look_up(
    tx: Connection,
    workspace: int,
    rules: Rules,
    asked: Mapping[str, Asked],
    late: Mapping[UUID, Stream],
) -> Mapping[UUID, Mapping[str, Value]]:
    """Return what is missing of each stream, by key."""
    last = max(it.since.by for it in asked.values())
    backfill.check(tx, workspace, last)
    found: dict[UUID, dict[str, Value]] = defaultdict(dict)

    @cache
    def listening(kind: str, name: str) -> Sequence[tuple[str, int]]:
        return [(it, asked[it].since.by) for it in rules.watching(kind, name) if it in asked]

    names = backfill.names_of(rules.memories[it] for it in asked)
    for stream, kind, happened in backfill.events(tx, workspace, names, last, streams=list(late)):
        upto, values = late[stream].upto, found[stream]
        for key, by in listening(kind, happened.name):
            # Nobody who is late did since then what it looks at: they would have been met.
            if upto < by:
                values[key] = rules.adders[key](values.get(key), happened)
    return {id_: _without_nothing(values) for id_, values in found.items()}


def _without_nothing(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: it for key, it in values.items() if it is not None}
