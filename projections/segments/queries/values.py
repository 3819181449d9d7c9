"""Values of computed attributes of one profile, at the current time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.accumulators import required_accumulators
from domain.evaluation.profile_context import ProfileContext
from projections.segments.definitions.index import load_segment_index
from projections.segments.state import reader


def load_computed_values(tx: Connection, workspace: int, stream: UUID) -> Mapping[str, Any]:
    """Returns the values of a stream's profile by attribute name; None where it has no value."""
    index = load_segment_index(tx, workspace)
    if not index.computed_attributes:
        return {}
    clock = to_micros(datetime.now(UTC))
    streams_by_id = reader.load_streams(tx, workspace, [stream], ())
    keys = {
        accumulator.key
        for attribute in index.computed_attributes.values()
        for accumulator in required_accumulators(attribute)
    }
    state = reader.load_state(tx, workspace, index, streams_by_id, only_keys=keys)
    streams = [state.streams[id_] for id_ in sorted(state.streams)]
    evaluation_input = ProfileContext(index, streams, lambda _segment: False).evaluation_input
    return {
        name: attribute.result(evaluation_input, clock)
        for name, attribute in sorted(index.computed_attributes.items())
    }
