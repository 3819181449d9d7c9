"""Unused conditions are freed: their compiled functions do not refer to them."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest

from domain.conditions import EvaluationInput, parse_condition
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from tests.leaves import Leaves

COUNT = {"event": "a", "count": {"at_least": 2}, "within": {"last": "7d"}}
LATEST = {"event": "a", "occurrence": "last", "newer_than": "1d"}
TOTAL = {"fn": "sum", "path": "properties.n", "op": "gt", "value": 1}
COMPUTED = {"fn": "avg", "event": "a", "path": "properties.n", "within": {"last": "7d"}}


class Witness:
    """An object that is freed together with the object that holds it."""


@pytest.mark.parametrize(
    "document",
    [
        COUNT,
        LATEST,
        {"event": "a", "aggregate": TOTAL, "within": {"last": "7d"}},
        {"sequence": [{"event": "a"}, {"event": "b"}]},
        {"computed": COMPUTED, "op": "gt", "value": 1},
        {"score": [{"when": COUNT, "points": 1}], "op": "gt", "value": 0},
        {"any": [COUNT, {"none": [LATEST]}]},
    ],
    ids="-".join,
)
def test_conditions_are_freed_with_the_index_that_evaluated_them(document: dict[str, Any]) -> None:
    index = SegmentIndex.build([CompiledSegment("s", parse_condition(document))])
    condition = index.order.segments[0].condition
    assert index.order.predicates[0](EvaluationInput({}), 0)[0] == condition.holds(
        EvaluationInput({}), 0
    )
    condition.explain(EvaluationInput({}), 0)
    witnesses = []
    for leaf in Leaves(condition).by_key.values():
        leaf.__dict__["witness"] = witness = Witness()
        witnesses.append(ref(witness))
        del leaf, witness
    assert witnesses
    del index, condition
    gc.collect()
    assert [witness() for witness in witnesses] == [None] * len(witnesses)
