"""The values of computed attributes: read from what is remembered, at the very instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.profile_context import KnownOf
from domain.evaluation.summaries import memories
from projections.segments.definitions.segments import in_effect
from projections.segments.state import reader


def values_of(tx: Connection, workspace: int, stream: UUID) -> Mapping[str, Any]:
    """Return the values by name of the person whose stream it is, at this moment; None: there is none."""
    rules = in_effect(tx, workspace)
    if not rules.values:
        return {}
    clock = to_micros(datetime.now(UTC))
    theirs = reader.streams_of(tx, workspace, [stream], ())
    asked = {it.key for value in rules.values.values() for it in memories(value)}
    kept = reader.load(tx, workspace, rules, theirs, only=asked)
    streams = [kept.streams[it] for it in sorted(kept.streams)]
    known = KnownOf(rules, streams, lambda _: False).known
    return {name: it.result(known, clock) for name, it in sorted(rules.values.items())}
