"""Conditions that can hold for a new profile are evaluated when it is first seen."""

from __future__ import annotations

import pytest

from domain.conditions import parse_condition
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment

EMPTY_SUM_IS_LONG_AGO = {
    "computed": {"event": "a", "fn": "sum", "path": "properties.n"},
    "op": "before",
    "value": {"ago": "60s"},
}


@pytest.mark.parametrize(
    ("condition", "is_evaluated"),
    [
        ({"event": "a", "count": {"exactly": 0}}, True),
        (EMPTY_SUM_IS_LONG_AGO, True),
        ({"none": [{"segment": "other"}]}, True),
        ({"event": "a", "count": {"at_least": 1}}, False),
    ],
)
def test_a_new_profile_is_evaluated_for_segments_that_an_empty_profile_can_match(
    condition, is_evaluated: bool
) -> None:
    other = CompiledSegment("other", parse_condition(EMPTY_SUM_IS_LONG_AGO))
    index = SegmentIndex.build([CompiledSegment("this", parse_condition(condition)), other])
    assert (index.order.ordinal_of["this"] in index.always_evaluate) == is_evaluated
