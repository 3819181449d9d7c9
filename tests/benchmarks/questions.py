"""The questions that both sides are asked, each in the words of ours and of the hand-written one."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from projections.kit import cursors
from tests.benchmarks.database import Database
from tests.benchmarks.handwritten import LIMIT
from tests.benchmarks.messages import KINDS_OF_GOODS

_SAMPLE = """
SELECT e.occurred_at, e.position, e.stream, e.name, e.channel, p.kind || ':' || p.value AS ref
FROM read_timeline_v3.event AS e JOIN seed_person AS p USING (stream)
WHERE e.position = ANY(%s)
"""


class Question(NamedTuple):
    """One question."""

    path: str
    """As our API is asked."""

    asked: dict[str, Any]
    """The parameters of the hand-written SQL."""


class Place(NamedTuple):
    """An event somewhere in the timeline, to ask about."""

    occurred_at: Any
    position: int
    stream: Any
    name: str
    channel: str
    ref: str


def places(database: Database, count: int, events: int) -> list[Place]:
    """Return random events; busy people and common names come more often, as in life."""
    positions = random.sample(range(1, events + 1), count)
    found = [Place(*row) for row in database.sql(_SAMPLE, positions)]
    random.shuffle(found)
    return found


def event_list(place: Place, workspace: int) -> Question:
    """Return the question for a page somewhere in the event list."""
    return _question("/v1/events", {}, place, {"workspace": workspace}, paged=True)


def timeline(place: Place, workspace: int) -> Question:
    """Return the question for a person's timeline: half the time the first page, else one further down."""
    asked = {"workspace": workspace, "stream": place.stream}
    path = f"/v1/profiles/{place.ref}/timeline"
    return _question(path, {}, place, asked, paged=random.random() < 0.5)


def filtered_list(place: Place, workspace: int) -> Question:
    """Return the question for events of a name, in two weeks, that meet a condition, in a channel or all."""
    since = place.occurred_at - timedelta(days=14)
    theirs = {"from": since.isoformat(), "to": place.occurred_at.isoformat(), "name": place.name}
    asked = {
        "workspace": workspace,
        "name": place.name,
        "from": since,
        "to": place.occurred_at,
    }
    if random.random() < 0.5:
        theirs["channel"] = asked["channel"] = place.channel
    if random.random() < 0.7:
        asked["total_over"] = random.choice((100, 500, 1_000, 1_500))
        theirs["where"] = f"properties.total>{asked['total_over']}"
    else:
        asked["with_item"] = random.choice(KINDS_OF_GOODS)
        theirs["where"] = f"properties.items[].type={asked['with_item']}"
    return _question("/v1/events", theirs, place, asked, paged=False)


KINDS: dict[str, Callable[[Place, int], Question]] = {
    "event_list": event_list,
    "timeline": timeline,
    "filtered_list": filtered_list,
}


def handwritten_path(question: Question) -> str:
    """Return how the hand-written server is asked."""
    shown = {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in question.asked.items()
    }
    return f"/events?{urlencode(shown)}"


def _question(
    path: str, theirs: dict[str, str], place: Place, asked: dict[str, Any], *, paged: bool
) -> Question:
    theirs = theirs | {"limit": str(LIMIT)}
    if paged:
        theirs["cursor"] = cursors.encode_event(place.occurred_at, place.position, 0)
        asked = asked | {"before": place.occurred_at, "position": place.position}
    return Question(f"{path}?{urlencode(theirs)}", asked)


def same(ours: bytes, theirs: bytes) -> bool:
    """Say whether both answers name the same events in the same order."""
    return _ids(ours) == _ids(theirs)


def _ids(answer: bytes) -> list[str]:
    document = msgspec.json.decode(answer)
    return [it["id"] for it in document.get("events", document.get("timeline"))]
