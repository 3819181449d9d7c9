"""Queries sent to both servers: a path of the API, and parameters of the hand-written SQL."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from projections.kit import cursors
from projections.timeline import tables
from tests.benchmarks.database import Database
from tests.benchmarks.handwritten import LIMIT
from tests.benchmarks.messages import KINDS_OF_GOODS

_SAMPLE = f"""
SELECT e.occurred_at, e.position, e.stream, e.name, e.channel, p.kind || ':' || p.value AS ref
FROM {tables.timeline} AS e JOIN seed_profile AS p USING (stream)
WHERE e.position = ANY(%s)
"""


class Question(NamedTuple):
    """One query in both forms."""

    path: str
    """Path of the API."""

    params: dict[str, Any]
    """Parameters of the hand-written SQL."""


class SampleEvent(NamedTuple):
    """An event of the timeline on which a query is based."""

    occurred_at: Any
    position: int
    stream: Any
    name: str
    channel: str
    ref: str


def sample_events(database: Database, count: int, events: int) -> list[SampleEvent]:
    """Returns random events; active profiles and common names are more frequent, as in reality."""
    positions = random.sample(range(1, events + 1), count)
    events_found = [SampleEvent(*row) for row in database.sql(_SAMPLE, positions)]
    random.shuffle(events_found)
    return events_found


def event_list(event: SampleEvent, workspace: int) -> Question:
    """Returns the query of a page somewhere in the event list."""
    return _question("/v1/events", {}, event, {"workspace": workspace}, paged=True)


def timeline(event: SampleEvent, workspace: int) -> Question:
    """Returns the query of a profile's timeline: the first page, or a later one."""
    params = {"workspace": workspace, "stream": event.stream}
    path = f"/v1/profiles/{event.ref}/timeline"
    return _question(path, {}, event, params, paged=random.random() < 0.5)


def filtered_list(event: SampleEvent, workspace: int) -> Question:
    """Returns the query of events of a name within two weeks, with filters."""
    since = event.occurred_at - timedelta(days=14)
    api_params = {
        "from": since.isoformat(),
        "to": event.occurred_at.isoformat(),
        "name": event.name,
    }
    params = {
        "workspace": workspace,
        "name": event.name,
        "from": since,
        "to": event.occurred_at,
    }
    if random.random() < 0.5:
        api_params["channel"] = params["channel"] = event.channel
    if random.random() < 0.7:
        params["total_over"] = random.choice((100, 500, 1_000, 1_500))
        api_params["where"] = f"properties.total>{params['total_over']}"
    else:
        params["with_item"] = random.choice(KINDS_OF_GOODS)
        api_params["where"] = f"properties.items[].type={params['with_item']}"
    return _question("/v1/events", api_params, event, params, paged=False)


KINDS: dict[str, Callable[[SampleEvent, int], Question]] = {
    "event_list": event_list,
    "timeline": timeline,
    "filtered_list": filtered_list,
}


def handwritten_path(question: Question) -> str:
    """Returns the path of the query on the hand-written server."""
    texts = {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in question.params.items()
    }
    return f"/events?{urlencode(texts)}"


def _question(
    path: str,
    api_params: dict[str, str],
    event: SampleEvent,
    params: dict[str, Any],
    *,
    paged: bool,
) -> Question:
    api_params = api_params | {"limit": str(LIMIT)}
    if paged:
        api_params["cursor"] = cursors.encode_event(event.occurred_at, event.position, 0)
        params = params | {"before": event.occurred_at, "position": event.position}
    return Question(f"{path}?{urlencode(api_params)}", params)


def same(ours: bytes, handwritten: bytes) -> bool:
    """Returns whether both answers contain the same events in the same order."""
    return _ids(ours) == _ids(handwritten)


def _ids(answer: bytes) -> list[str]:
    document = msgspec.json.decode(answer)
    return [event["id"] for event in document.get("events", document.get("timeline"))]
