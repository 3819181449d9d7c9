"""An evaluation engine is freed by reference counting, without the cyclic garbage collector."""

from __future__ import annotations

import gc
from uuid import UUID
from weakref import ref

from domain.conditions import EventView, parse_condition
from domain.core.ledger_time import Cause
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.inputs import EventInput
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment


def test_an_engine_is_freed_with_its_last_reference() -> None:
    purchase = EventInput(
        Cause(1, 1), UUID(int=1), "user_id", "track", EventView(1, bytes(16), "bought", {})
    )
    gc.disable()
    try:
        engine = EvaluationEngine(
            SegmentIndex.build([CompiledSegment("buyers", parse_condition({"event": "bought"}))]),
            {},
        )
        engine.evaluate([purchase], 2)
        assert engine.segments_of(UUID(int=1)) == {"buyers"}
        reference = ref(engine)
        del engine
        assert reference() is None
    finally:
        gc.enable()
