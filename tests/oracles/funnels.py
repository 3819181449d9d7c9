"""What a funnel comes to, by trying every way through a history."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from domain.core.time import to_micros
from domain.identity.resolution import facts_from_event
from domain.identity.resolved_profile import find_profile
from tests.builders import NOON
from tests.integration.projections.history import stream_of
from tests.oracles import conditions as oracle
from tests.oracles.conditions import Event, fits
from tests.oracles.values import UNITS


def way(events: Sequence[Event], steps: Sequence[dict[str, Any]], window: str | None) -> tuple:
    """When somebody took as many of a funnel's steps as can be, as early as can be: by trying all."""
    span = None if window is None else int(window[:-1]) * UNITS[window[-1]] * 1_000_000
    ways: list[tuple[int, ...]] = [()]

    def go_on(taken: tuple[int, ...]) -> None:
        ways.append(tuple(events[it].at for it in taken))
        if len(taken) == len(steps):
            return
        for place, each in enumerate(events):
            if place in taken or not fits(each, steps[len(taken)]):
                continue
            if taken and each.at < events[taken[-1]].at:
                continue
            if taken and span is not None and each.at - events[taken[0]].at > span:
                continue
            go_on((*taken, place))

    go_on(())
    return min(ways, key=lambda it: (-len(it), it))


def expected(told, wanted, window, since) -> list[int]:
    facts = [fact for it in told for fact in facts_from_event(it.event)]
    theirs = defaultdict(list)
    for it in told:
        if getattr(it.event, "kind", None) != "track":
            continue
        at = to_micros(it.event.occurred_at)
        offset = (at - to_micros(NOON)) // 1_000_000
        if since is None or since <= offset < since + 4:
            n = json.loads(it.event.payload)["properties"]["n"]
            person = find_profile(it.stream, facts, stream_of).id
            theirs[person].append(oracle.Event(at, it.event.name, {"n": n}))
    depths = [len(way(each, wanted, window)) for each in theirs.values()]
    return [sum(it > place for it in depths) for place in range(len(wanted))]
