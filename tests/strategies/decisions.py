"""Events about a segment's definition, and where in a history they are recorded."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st

from domain.core.identifiers import segment_stream
from domain.events.events import (
    NIL,
    ComputedAttributeDefined,
    Event,
    ManualListChanged,
    SegmentArchived,
    SegmentDefined,
)
from tests.integration.projections.history import SECRET, stream_of
from tests.strategies.histories import clocks, names

SEGMENT = UUID(bytes=segment_stream(SECRET, "s-1"))


Placed = tuple[int, UUID, Event]
"""Number of events before it, its stream, and the event."""


conditions = st.sampled_from(
    [b"", b'{"event": "Bought"}', b'{"attribute": "plan", "op": "exists"}']
)
defined = st.builds(
    SegmentDefined,
    id=st.just(NIL),
    segment=st.just("s-1"),
    name=st.sampled_from(["One", "Other"]),
    condition=conditions,
    occurred_at=clocks,
)
archived = st.builds(SegmentArchived, id=st.just(NIL), segment=st.just("s-1"), occurred_at=clocks)
computed = st.builds(
    ComputedAttributeDefined,
    id=st.just(NIL),
    attribute=st.just("c-1"),
    name=st.just("One"),
    computation=st.just(b'{"score": []}'),
    occurred_at=clocks,
)
listed = st.builds(
    ManualListChanged,
    id=st.just(NIL),
    segment=st.just("s-1"),
    listed=st.booleans(),
    occurred_at=clocks,
)
decisions = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.one_of(
            st.tuples(st.just(SEGMENT), defined | archived | computed),
            st.tuples(names.map(stream_of), listed),
        ),
    ).map(lambda placed: (placed[0], *placed[1])),
    min_size=1,
    max_size=8,
)
