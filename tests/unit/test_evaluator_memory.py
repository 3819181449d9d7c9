"""An evaluator is freed by reference counting, without the cyclic garbage collector."""

from __future__ import annotations

import gc
from uuid import UUID
from weakref import ref

from domain.conditions import EventView, parse_condition
from domain.core.ledger_time import Cause
from domain.evaluation.engine import Evaluator
from domain.evaluation.inputs import EventInput
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex


def test_an_evaluator_is_freed_with_its_last_reference() -> None:
    purchase = EventInput(
        Cause(1, 1), UUID(int=1), "user_id", "track", EventView(1, bytes(16), "bought", {})
    )
    gc.disable()
    try:
        evaluator = Evaluator(
            SegmentIndex([CompiledSegment("buyers", parse_condition({"event": "bought"}))]), {}
        )
        evaluator.process([purchase], 2)
        assert evaluator.segments_of(UUID(int=1)) == {"buyers"}
        reference = ref(evaluator)
        del evaluator
        assert reference() is None
    finally:
        gc.enable()
