"""When only time goes by: who is asked about what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from domain.conditions import EventView, parse_condition
from domain.core.ledger_time import Cause
from domain.evaluation.engine import Evaluator
from domain.evaluation.inputs import EventInput
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex

ANN = UUID(int=1)
MINUTE = 60_000_000
LATELY = {"event": "bought", "within": {"last": "1m"}}
NEVER = {"event": "bought", "within": {"last": "1m"}, "count": {"exactly": 0}}
EVER = {"event": "bought"}
OFTEN = {"event": "bought", "count": {"at_least": 2}, "within": {"last": "1m"}}
CALM = {"score": [{"when": LATELY, "points": -1}], "op": "gte", "value": 0}
SEGMENTS = {"calm": CALM, "ever": EVER, "lately": LATELY, "never": NEVER, "often": OFTEN}


@pytest.fixture
def asked() -> list[str]:
    """Segments that are asked about."""
    return []


@pytest.fixture
def people(asked: list[str]) -> Evaluator:
    rules = SegmentIndex(
        CompiledSegment(name, parse_condition(it)) for name, it in SEGMENTS.items()
    )

    def noted(segment: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def ask(known: Any, clock: int) -> Any:
            asked.append(segment)
            return answer(known, clock)

        return ask

    rules.predicates = [
        noted(it.id, ask) for it, ask in zip(rules.segments, rules.predicates, strict=True)
    ]
    return Evaluator(rules, {})


def bought(position: int, at: int, recorded: int) -> EventInput:
    happened = EventView(at, position.to_bytes(16), "bought", {"properties": {}}, recorded)
    return EventInput(Cause(recorded, position), ANN, "user_id", "track", happened)


def test_only_what_the_clock_can_change_is_asked(people: Evaluator, asked: list[str]) -> None:
    people.process([bought(1, 0, 0)], MINUTE - 1)
    assert people.segments_of(ANN) == {"ever", "lately"}
    asked.clear()

    people.advance_time_to(MINUTE)
    assert people.segments_of(ANN) == {"calm", "ever", "never"}
    assert asked == ["calm", "lately", "never"], (
        "nobody comes to be in `often` by waiting, or leaves `ever`"
    )


def test_an_event_whose_time_is_to_come_may_change_any(people: Evaluator) -> None:
    people.process([bought(1, 2 * MINUTE, 0)], 2 * MINUTE - 1)
    assert people.segments_of(ANN) == {"calm", "never"}
    people.advance_time_to(2 * MINUTE)
    assert people.segments_of(ANN) == {"ever", "lately"}
    people.advance_time_to(3 * MINUTE)
    assert people.segments_of(ANN) == {"calm", "ever", "never"}
