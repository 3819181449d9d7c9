"""Segments over the shop's events have the member counts published with the data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO

import msgspec
import pytest

from domain.events.recorded import RecordedEvent
from interfaces.wire import FORMATS
from projections import identity, profile, segments, timeline
from tests.fix_postgres import clone
from tests.integration.http.shoppers import BOUGHT, CLOCK, shopping
from tests.integration.projections.crashing import engine_on
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded
from tests.segment_history import defined

APRIL = datetime(2024, 4, 1, tzinfo=UTC)
AS_OF_CLOCK = {
    "buyers": (BOUGHT | {"within": {"last": "30d"}}, 51),
    "lookers": ({"event": "product_view", "count": {"at_least": 5}, "within": {"last": "7d"}}, 17),
    "seekers": ({"event": "search", "count": {"at_least": 3}, "within": {"last": "14d"}}, 43),
}
AT_THE_END = {
    "ever": (BOUGHT, 328),
    "tempted": ({"all": [{"event": "add_to_cart"}, {"none": [BOUGHT]}]}, 194),
}
SEGMENTS = AS_OF_CLOCK | AT_THE_END


def definitions(prefix: str, at: datetime) -> list[RecordedEvent]:
    """Returns the definitions of all segments, with a prefix to their names."""
    entries = [defined(prefix + name, condition) for name, (condition, _) in SEGMENTS.items()]
    return [RecordedEvent(0, entry.stream, 1, at, entry.event) for entry in entries]


@pytest.fixture(scope="module")
def shop(template) -> Iterator[Given]:
    """The shop with segments defined before all events, and with segments backfilled in April."""
    file = BytesIO(b"\n".join(map(msgspec.json.encode, shopping())))
    read = FORMATS["ndjson"].read
    assert read is not None
    messages = [message for _, message in read(file, received_at=datetime(2025, 1, 1, tzinfo=UTC))]
    messages.sort(key=lambda message: message.occurred_at)
    events = [event._replace(recorded_at=event.event.occurred_at) for event in recorded(messages)]
    before_april = sum(event.recorded_at <= APRIL for event in events)
    history = [
        *definitions("live-", events[0].recorded_at),
        *events[:before_april],
        *definitions("late-", APRIL),
        *events[before_april:],
    ]
    with clone(template) as dsn, engine_on(dsn) as engine:
        projections = (
            identity.projection,
            timeline.projection,
            profile.projection,
            segments.projection,
        )
        given = Given(engine, projections)
        given.feed.workspaces[1] = [
            event._replace(position=position) for position, event in enumerate(history, 1)
        ]
        given.projector.catch_up(1)
        yield given


@pytest.mark.parametrize("prefix", ["live-", "late-"])
def test_segments_have_the_published_member_counts(shop: Given, prefix: str) -> None:
    for name, (_, count) in AS_OF_CLOCK.items():
        page = shop.ask("/segments/{id}/members", id=prefix + name, as_of=CLOCK, limit=500)
        assert len({member["profile_id"] for member in page["members"]}) == count, name
    for name, (_, count) in AT_THE_END.items():
        assert shop.ask("/segments/{id}", id=prefix + name)["members"] == count, name
