"""Oracle of funnels: tries every walk through a history."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from domain.core.time import to_micros
from domain.identity.facts import facts_from_event
from domain.identity.resolved_profile import find_profile
from tests.builders import NOON
from tests.integration.projections.history import stream_of
from tests.oracles import conditions as oracle
from tests.oracles.conditions import Event, matches_step
from tests.oracles.values import UNITS


def furthest_walk(
    events: Sequence[Event], steps: Sequence[dict[str, Any]], window: str | None
) -> tuple:
    """Returns when the furthest walk took its steps; of those equally far, the earliest."""
    span = None if window is None else int(window[:-1]) * UNITS[window[-1]] * 1_000_000
    walks: list[tuple[int, ...]] = [()]

    def extend(chosen: tuple[int, ...]) -> None:
        walks.append(tuple(events[index].at for index in chosen))
        if len(chosen) == len(steps):
            return
        for index, event in enumerate(events):
            if index in chosen or not matches_step(event, steps[len(chosen)]):
                continue
            if chosen and event.at < events[chosen[-1]].at:
                continue
            if chosen and span is not None and event.at - events[chosen[0]].at > span:
                continue
            extend((*chosen, index))

    extend(())
    return min(walks, key=lambda walk: (-len(walk), walk))


def expected_counts(records, steps, window, since) -> list[int]:
    facts = [fact for record in records for fact in facts_from_event(record.event)]
    events_of_profile = defaultdict(list)
    for record in records:
        if getattr(record.event, "kind", None) != "track":
            continue
        at = to_micros(record.event.occurred_at)
        offset = (at - to_micros(NOON)) // 1_000_000
        if since is None or since <= offset < since + 4:
            n = json.loads(record.event.payload)["properties"]["n"]
            profile_id = find_profile(record.stream, facts, stream_of).id
            events_of_profile[profile_id].append(oracle.Event(at, record.event.name, {"n": n}))
    depths = [len(furthest_walk(events, steps, window)) for events in events_of_profile.values()]
    return [sum(depth > number for depth in depths) for number in range(len(steps))]
