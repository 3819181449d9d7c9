"""Timers: which segments are evaluated when only time passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.conditions import EventView, parse_condition
from domain.core.ledger_time import Cause
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.inputs import EventInput
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment

ANN = UUID(int=1)
MINUTE = 60_000_000
LATELY = {"event": "bought", "within": {"last": "1m"}}
NEVER = {"event": "bought", "within": {"last": "1m"}, "count": {"exactly": 0}}
EVER = {"event": "bought"}
OFTEN = {"event": "bought", "count": {"at_least": 2}, "within": {"last": "1m"}}
CALM = {"score": [{"when": LATELY, "points": -1}], "op": "gte", "value": 0}
SEGMENTS = {"calm": CALM, "ever": EVER, "lately": LATELY, "never": NEVER, "often": OFTEN}


@pytest.fixture
def evaluated() -> list[str]:
    """Segments in the order in which they are evaluated."""
    return []


@pytest.fixture
def engine(evaluated: list[str]) -> EvaluationEngine:
    index = SegmentIndex.build(
        CompiledSegment(name, parse_condition(document)) for name, document in SEGMENTS.items()
    )

    def recording(segment: str, predicate: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(evaluation_input: Any, clock: int) -> Any:
            evaluated.append(segment)
            return predicate(evaluation_input, clock)

        return evaluate

    order = index.order
    predicates = [
        recording(segment.id, predicate)
        for segment, predicate in zip(order.segments, order.predicates, strict=True)
    ]
    recorded = replace(index, order=replace(order, predicates=predicates))
    return EvaluationEngine(recorded, {})


def bought(position: int, at: int, recorded: int) -> EventInput:
    event = EventView(at, position.to_bytes(16), "bought", {"properties": {}}, recorded)
    return EventInput(Cause(recorded, position), ANN, "user_id", "track", event)


def test_only_segments_that_time_can_change_are_evaluated(
    engine: EvaluationEngine, evaluated: list[str]
) -> None:
    engine.evaluate([bought(1, 0, 0)], MINUTE - 1)
    assert engine.segments_of(ANN) == {"ever", "lately"}
    evaluated.clear()

    engine.advance_time_to(MINUTE)
    assert engine.segments_of(ANN) == {"calm", "ever", "never"}
    assert evaluated == ["calm", "lately", "never"], (
        "no profile enters `often` or leaves `ever` through time alone"
    )


def test_a_future_dated_event_can_change_any_segment(engine: EvaluationEngine) -> None:
    engine.evaluate([bought(1, 2 * MINUTE, 0)], 2 * MINUTE - 1)
    assert engine.segments_of(ANN) == {"calm", "never"}
    engine.advance_time_to(2 * MINUTE)
    assert engine.segments_of(ANN) == {"ever", "lately"}
    engine.advance_time_to(3 * MINUTE)
    assert engine.segments_of(ANN) == {"calm", "ever", "never"}
