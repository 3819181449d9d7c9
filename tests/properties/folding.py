"""Folds a history into the summaries of a condition, as the read model does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.conditions import EvaluationInput, EventView, ProfileFacts
from tests.leaves import Leaves
from tests.oracles import conditions as oracle
from tests.strategies.conditions import MINUTE


def merged_input(
    program: Leaves,
    history: oracle.History,
    streams: list[int],
    order: list[int],
    minutes_ahead: list[int],
) -> EvaluationInput:
    """Folds events in an order into summaries of several streams, and merges those.

    ``streams``: the stream of each event.  ``minutes_ahead``: by how many minutes each event was dated ahead
    of the time at which it was recorded.
    """
    summaries: dict[tuple[int, str], Any] = {}
    for number in order:
        event = history.events[number]
        view = EventView(
            event.at,
            number.to_bytes(2),
            event.name,
            {"properties": event.properties},
            event.at - minutes_ahead[number] * MINUTE,
        )
        for key in program.watching(event.name):
            stream_key = (streams[number], key)
            summaries[stream_key] = program.add_functions[key](summaries.get(stream_key), view)
    merged: dict[str, Any] = {}
    for (_, key), summary in summaries.items():
        merged[key] = program.by_key[key].merge(merged.get(key), summary)
    facts = ProfileFacts(history.attributes, history.tags, history.kinds)
    return EvaluationInput(merged, lambda: facts, lambda segment: segment in history.segments)


def stored(program: Leaves, summaries: Mapping[str, Any], clock: int) -> Mapping[str, Any]:
    """Returns the summaries as they are read back from a table, pruned."""
    return {
        key: msgspec.msgpack.decode(
            msgspec.msgpack.encode(program.by_key[key].prune(summary, clock))
        )
        for key, summary in summaries.items()
    }
