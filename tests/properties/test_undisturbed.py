"""What is decided about segments, wherever it stands in the ledger, disturbs no other read model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.core.identifiers import segment_stream
from domain.events.events import (
    NIL,
    AttributeDefined,
    Event,
    Listed,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.recorded import Recorded
from projections import PROJECTIONS
from projections.runtime import batch
from tests.builders import NOON
from tests.integration.projections.given import Given
from tests.integration.projections.history import SECRET, recorded, stream_of
from tests.properties.histories import clocks, histories, names
from tests.properties.test_convergence import MOVES_WITH_ORDER, unsynced

OTHERS = [it for it in PROJECTIONS if it.name != "segments"]
SEGMENT = UUID(bytes=segment_stream(SECRET, "s-1"))

Placed = tuple[int, UUID, Event]
"""After how many events, in which stream, what."""

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
    AttributeDefined,
    id=st.just(NIL),
    attribute=st.just("c-1"),
    name=st.just("One"),
    computation=st.just(b'{"score": []}'),
    occurred_at=clocks,
)
listed = st.builds(
    Listed, id=st.just(NIL), segment=st.just("s-1"), listed=st.booleans(), occurred_at=clocks
)
decisions = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.one_of(
            st.tuples(st.just(SEGMENT), defined | archived | computed),
            st.tuples(names.map(stream_of), listed),
        ),
    ).map(lambda it: (it[0], *it[1])),
    min_size=1,
    max_size=8,
)

each_on_its_workspaces = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def among(history: Sequence[Recorded], placed: Sequence[Placed]) -> list[Recorded]:
    """Return a history with decisions in it, as a ledger would have numbered it."""
    events = [(it.stream, it.event) for it in history]
    for after, stream, event in placed:
        events.insert(min(after, len(events)), (stream, event))
    versions: dict[UUID, int] = {}
    whole = []
    for position, (stream, event) in enumerate(events, 1):
        versions[stream] = versions.get(stream, 0) + 1
        at = NOON + timedelta(days=300, milliseconds=position)
        whole.append(Recorded(position, stream, versions[stream], at, event))
    return whole


@pytest.fixture
def undisturbed(database: str) -> Iterator:
    """Checks that read models are the same with decisions among the events and without."""
    engine, workspaces = unsynced(database), count(1)
    models = Given(engine, OTHERS)

    def rows(history: list[Recorded], size: int) -> dict[str, list[str]]:
        workspace = next(workspaces)
        models.feed.workspaces[workspace] = history
        models.projector.catch_up(workspace, size)
        return models.tables(workspace=workspace, without=MOVES_WITH_ORDER)

    def check(messages, placed: Sequence[Placed], size: int) -> None:
        history = recorded(messages)
        assert rows(among(history, placed), size) == rows(history, 4_000)

    yield check
    engine.dispose()


@settings(each_on_its_workspaces, max_examples=150)
@given(history=histories, placed=decisions, size=st.integers(1, 7))
def test_decisions_about_segments_disturb_nothing(undisturbed, history, placed, size) -> None:
    undisturbed(history, placed, size)


def test_were_they_taken_for_messages_it_would_show(undisturbed, monkeypatch) -> None:
    """As if a fold looked at every event of a person's stream."""
    monkeypatch.setattr(batch, "MessageEvent", Event)

    @settings(
        each_on_its_workspaces,
        max_examples=20,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    @given(history=histories, placed=decisions)
    def check(history, placed) -> None:
        undisturbed(history, placed, 4_000)

    with pytest.raises(AttributeError):
        check()
