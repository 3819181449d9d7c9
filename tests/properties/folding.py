"""What a condition keeps of a history, as the read model folds and stores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.conditions import CompiledCondition, EvaluationInput, EventView, ProfileFacts
from tests.oracles import conditions as oracle
from tests.strategies.conditions import MINUTE


def known(
    program: CompiledCondition,
    history: oracle.History,
    streams: list[int],
    order: list[int],
    ahead: list[int],
) -> EvaluationInput:
    """Fold the events in some order into summaries of several streams, and join those.

    ``ahead`` says by how many minutes each event's time was ahead of the clock when it was recorded.
    """
    kept: dict[tuple[int, str], Any] = {}
    for place in order:
        event = history.events[place]
        happened = EventView(
            event.at,
            place.to_bytes(2),
            event.name,
            {"properties": event.properties},
            event.at - ahead[place] * MINUTE,
        )
        for key in program.keys_watching(event.name):
            where = (streams[place], key)
            kept[where] = program.add_functions[key](kept.get(where), happened)
    joined: dict[str, Any] = {}
    for (_, key), summary in kept.items():
        joined[key] = program.leaves[key].merge(joined.get(key), summary)
    told = ProfileFacts(history.attributes, history.tags, history.kinds)
    return EvaluationInput(joined, lambda: told, lambda it: it in history.segments)


def stored(
    program: CompiledCondition, summaries: Mapping[str, Any], clock: int
) -> Mapping[str, Any]:
    """Return the summaries as they come back from a table, without what is not needed any more."""
    return {
        key: msgspec.msgpack.decode(
            msgspec.msgpack.encode(program.leaves[key].prune(summary, clock))
        )
        for key, summary in summaries.items()
    }
