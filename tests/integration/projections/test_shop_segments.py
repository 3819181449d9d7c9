"""Segments of real shoppers have as many members as came with the data, at the clock that came with it."""

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
AT_THE_CLOCK = {
    "buyers": (BOUGHT | {"within": {"last": "30d"}}, 51),
    "lookers": ({"event": "product_view", "count": {"at_least": 5}, "within": {"last": "7d"}}, 17),
    "seekers": ({"event": "search", "count": {"at_least": 3}, "within": {"last": "14d"}}, 43),
}
IN_THE_END = {
    "ever": (BOUGHT, 328),
    "tempted": ({"all": [{"event": "add_to_cart"}, {"none": [BOUGHT]}]}, 194),
}
SEGMENTS = AT_THE_CLOCK | IN_THE_END


def decided(prefix: str, at: datetime) -> list[RecordedEvent]:
    """Return the definitions of all segments, with a prefix to their names."""
    made = [defined(prefix + name, condition) for name, (condition, _) in SEGMENTS.items()]
    return [RecordedEvent(0, it.stream, 1, at, it.event) for it in made]


@pytest.fixture(scope="module")
def shop(template) -> Iterator[Given]:
    """The shop with segments that were there from the start, and with such as looked back at the clock."""
    file = BytesIO(b"\n".join(map(msgspec.json.encode, shopping())))
    read = FORMATS["ndjson"].read
    assert read is not None
    messages = [it for _, it in read(file, received_at=datetime(2025, 1, 1, tzinfo=UTC))]
    messages.sort(key=lambda it: it.occurred_at)
    clicks = [it._replace(recorded_at=it.event.occurred_at) for it in recorded(messages)]
    by_then = sum(it.recorded_at <= APRIL for it in clicks)
    start = decided("live-", clicks[0].recorded_at)
    whole = [*start, *clicks[:by_then], *decided("late-", APRIL), *clicks[by_then:]]
    with clone(template) as dsn, engine_on(dsn) as engine:
        asked = (identity.projection, timeline.projection, profile.projection, segments.projection)
        given = Given(engine, asked)
        given.feed.workspaces[1] = [it._replace(position=at) for at, it in enumerate(whole, 1)]
        given.projector.catch_up(1)
        yield given


@pytest.mark.parametrize("prefix", ["live-", "late-"])
def test_as_many_are_in_them_as_came_with_the_data(shop: Given, prefix: str) -> None:
    for name, (_, people) in AT_THE_CLOCK.items():
        page = shop.ask("/segments/{id}/members", id=prefix + name, as_of=CLOCK, limit=500)
        assert len({it["profile_id"] for it in page["members"]}) == people, name
    for name, (_, people) in IN_THE_END.items():
        assert shop.ask("/segments/{id}", id=prefix + name)["members"] == people, name
