"""The index of segments: a frozen value, the same for any order of definitions."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import parse_condition, referenced_segments
from domain.core.ledger_time import Cause
from domain.evaluation.registrations import Registration
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment

DOCUMENTS: dict[str, Any] = {
    "a": {"any": [{"segment": "c"}, {"segment": "gone"}]},
    "b": {"event": "paid"},
    "c": {"none": [{"segment": "d"}]},
    "d": {"all": [{"segment": "b"}, {"attribute": "plan", "op": "eq", "value": "pro"}]},
    "e": {"identifier": "email"},
}
SEGMENTS = [CompiledSegment(id_, parse_condition(it)) for id_, it in DOCUMENTS.items()]


@given(st.permutations(SEGMENTS))
def test_each_segment_comes_after_those_it_refers_to(segments: list[CompiledSegment]) -> None:
    order = SegmentIndex.build(segments).order
    assert [*order.ordinal_of] == [*SegmentIndex.build(SEGMENTS).order.ordinal_of]
    for ordinal, segment in enumerate(order.segments):
        assert order.ordinal_of[segment.id] == ordinal
        for referenced in referenced_segments(segment.condition) & order.ordinal_of.keys():
            assert order.ordinal_of[referenced] < ordinal
            assert ordinal in order.dependents[order.ordinal_of[referenced]]


def test_an_index_with_other_registrations_leaves_the_index_as_it_is() -> None:
    index = SegmentIndex.build(SEGMENTS)
    [key] = index.message_readers.keys_for("track", "paid")
    registered = index.with_registrations({key: Registration(7, Cause(1, 5))})
    assert (index.registrations.newest, dict(index.registrations.by_key)) == (0, {})
    assert registered.registrations.newest == 5
    assert registered.registrations.after(4).keys() == {key}
    assert not registered.registrations.after(5)
    assert registered.impact.affected_by((key, 1)) is index.impact.affected_by((key, 1))
    with pytest.raises(FrozenInstanceError):
        index.registrations = registered.registrations  # type: ignore[misc]
