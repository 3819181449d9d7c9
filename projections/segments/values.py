"""The values of computed attributes: read from what is remembered, at the very instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions.times import microseconds
from domain.known import KnownOf
from domain.memories import memories
from projections.segments import stored
from projections.segments.definitions import in_effect


def values_of(tx: Connection, workspace: int, stream: UUID) -> Mapping[str, Any]:
    """Return the values by name of the person whose stream it is, at this moment; None: there is none."""
    rules = in_effect(tx, workspace)
    if not rules.values:
        return {}
    clock = microseconds(datetime.now(UTC))
    theirs = stored.streams_of(tx, workspace, [stream], ())
    asked = {it.key for value in rules.values.values() for it in memories(value)}
    kept = stored.load(tx, workspace, rules, theirs, only=asked)
    streams = [kept.streams[it] for it in sorted(kept.streams)]
    known = KnownOf(rules, streams, lambda _: False).known
    return {name: it.result(known, clock) for name, it in sorted(rules.values.items())}
