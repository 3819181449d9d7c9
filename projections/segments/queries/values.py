"""Values of computed attributes of one profile, at the current time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.core.time import to_micros
from domain.evaluation.profile_context import ProfileContext
from projections.runtime.ports import Reader
from projections.segments.definitions.index import load_segment_index
from projections.segments.state import reader


class ComputedAttributeReads:
    """Provides `ComputedAttributesPort`."""

    def computed_attributes(self: Reader, stream: UUID) -> Mapping[str, Any]:
        """Returns the values in effect of a stream's profile; None where it has no value."""
        index = load_segment_index(self.tx, self.workspace)
        if not index.computed_attributes:
            return {}
        clock = to_micros(datetime.now(UTC))
        streams_by_id = reader.load_streams(self.tx, self.workspace, [stream], ())
        keys = {
            accumulator.key
            for attribute in index.computed_attributes.values()
            for accumulator in attribute.accumulators()
        }
        state = reader.load_state(self.tx, self.workspace, index, streams_by_id, only_keys=keys)
        streams = [state.streams[id_] for id_ in sorted(state.streams)]
        evaluation_input = ProfileContext(index, streams, lambda _segment: False).evaluation_input
        return {
            name: attribute.result(evaluation_input, clock)
            for name, attribute in sorted(index.computed_attributes.items())
        }
