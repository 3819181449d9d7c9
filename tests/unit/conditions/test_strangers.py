"""Conditions that hold of somebody of whom nothing is remembered are asked when the person is first seen."""

from __future__ import annotations

import pytest

from domain.conditions import parse_condition
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex

NOTHING_SUMS_TO_LONG_AGO = {
    "computed": {"event": "a", "fn": "sum", "path": "properties.n"},
    "op": "before",
    "value": {"ago": "60s"},
}


@pytest.mark.parametrize(
    ("condition", "is_asked"),
    [
        ({"event": "a", "count": {"exactly": 0}}, True),
        (NOTHING_SUMS_TO_LONG_AGO, True),
        ({"none": [{"segment": "other"}]}, True),
        ({"event": "a", "count": {"at_least": 1}}, False),
    ],
)
def test_whoever_is_first_seen_is_asked_what_may_hold_of_anybody_at_some_clock(
    condition, is_asked: bool
) -> None:
    others = CompiledSegment("other", parse_condition(NOTHING_SUMS_TO_LONG_AGO))
    rules = SegmentIndex([CompiledSegment("asked", parse_condition(condition)), others])
    assert (rules.ordinal_of["asked"] in rules.always_evaluate) == is_asked
