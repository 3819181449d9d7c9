"""Memberships, but for what they answer: that is compared with an oracle."""

from __future__ import annotations

import gc
from uuid import UUID
from weakref import ref

from domain.conditions import EventView, parse_condition
from domain.core.ledger_time import Cause
from domain.evaluation.engine import Evaluator
from domain.evaluation.inputs import EventInput
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex


def test_what_is_known_is_gone_as_soon_as_nobody_holds_it() -> None:
    did = EventInput(
        Cause(1, 1), UUID(int=1), "user_id", "track", EventView(1, bytes(16), "bought", {})
    )
    gc.disable()
    try:
        people = Evaluator(
            SegmentIndex([CompiledSegment("buyers", parse_condition({"event": "bought"}))]), {}
        )
        people.process([did], 2)
        assert people.segments_of(UUID(int=1)) == {"buyers"}
        held = ref(people)
        del people
        assert held() is None
    finally:
        gc.enable()
