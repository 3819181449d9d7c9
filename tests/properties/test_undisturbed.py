"""Events about segments, at any position of the ledger, change no other read model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events.events import (
    Event,
)
from domain.events.recorded import RecordedEvent
from projections import PROJECTIONS
from projections.runtime import batch
from tests import examples
from tests.builders import NOON
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded
from tests.properties.models import MOVES_WITH_ORDER, unsynced
from tests.strategies.decisions import Placed, decisions
from tests.strategies.histories import histories

OTHERS = [projection for projection in PROJECTIONS if projection.name != "segments"]


def among(history: Sequence[RecordedEvent], placed: Sequence[Placed]) -> list[RecordedEvent]:
    """Returns a history with these events in it, numbered as in a ledger."""
    events = [(record.stream, record.event) for record in history]
    for after, stream, event in placed:
        events.insert(min(after, len(events)), (stream, event))
    versions: dict[UUID, int] = {}
    whole = []
    for position, (stream, event) in enumerate(events, 1):
        versions[stream] = versions.get(stream, 0) + 1
        at = NOON + timedelta(days=300, milliseconds=position)
        whole.append(RecordedEvent(position, stream, versions[stream], at, event))
    return whole


@pytest.fixture
def undisturbed(database: str) -> Iterator:
    """Checks that read models are the same with and without the events about segments."""
    engine, workspaces = unsynced(database), count(1)
    models = Given(engine, OTHERS)

    def rows(history: list[RecordedEvent], size: int) -> dict[str, list[str]]:
        workspace = next(workspaces)
        models.feed.workspaces[workspace] = history
        models.projector.catch_up(workspace, size)
        return models.tables(workspace=workspace, without=MOVES_WITH_ORDER)

    def check(messages, placed: Sequence[Placed], size: int) -> None:
        history = recorded(messages)
        assert rows(among(history, placed), size) == rows(history, 4_000)

    yield check
    engine.dispose()


@examples.on_one_database(0.3)
@given(history=histories, placed=decisions, size=st.integers(1, 7))
def test_events_about_segments_change_no_other_read_model(
    undisturbed, history, placed, size
) -> None:
    undisturbed(history, placed, size)


def test_treating_them_as_messages_would_be_noticed(undisturbed, monkeypatch) -> None:
    """As if a fold read every event of a profile's stream."""
    monkeypatch.setattr(batch, "MessageEvent", Event)

    @examples.sabotaged()
    @given(history=histories, placed=decisions)
    def check(history, placed) -> None:
        undisturbed(history, placed, 4_000)

    with pytest.raises(AttributeError):
        check()
