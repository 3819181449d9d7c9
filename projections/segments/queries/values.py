"""The values of computed attributes: read from what is remembered, at the very instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.accumulators import required_accumulators
from domain.evaluation.profile_context import ProfileContext
from projections.segments.definitions.segments import load_segment_index
from projections.segments.state import reader


def load_computed_values(tx: Connection, workspace: int, stream: UUID) -> Mapping[str, Any]:
    """Return the values by name of the person whose stream it is, at this moment; None: there is none."""
    rules = load_segment_index(tx, workspace)
    if not rules.computed_attributes:
        return {}
    clock = to_micros(datetime.now(UTC))
    theirs = reader.load_streams(tx, workspace, [stream], ())
    asked = {
        it.key
        for value in rules.computed_attributes.values()
        for it in required_accumulators(value)
    }
    kept = reader.load_state(tx, workspace, rules, theirs, only_keys=asked)
    streams = [kept.streams[it] for it in sorted(kept.streams)]
    known = ProfileContext(rules, streams, lambda _: False).evaluation_input
    return {name: it.result(known, clock) for name, it in sorted(rules.computed_attributes.items())}
