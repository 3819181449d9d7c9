"""Members of segments equal the oracle's: after events, by time alone and by backfill."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import parse_condition
from domain.core.time import to_micros
from domain.identity import claims
from projections.segments.backfill import bulk
from tests import examples
from tests.oracles.membership import expected_members, members
from tests.properties.membership_checks import check_members
from tests.segment_history import (
    LISTS,
    START,
    HistoryEntry,
    archived,
    at,
    computed,
    defined,
    instants,
    ledger,
)
from tests.strategies.conditions import (
    comparisons,
    computation,
    conditions,
)
from tests.strategies.segment_conditions import on_events, sql_groups, without_references
from tests.strategies.segment_histories import (
    histories,
    irregular_histories,
    linked_histories,
    matching_histories,
)


@examples.on_one_database(1)
@given(
    document=conditions,
    history=histories(),
    place=st.floats(0, 1),
    size=st.integers(1, 6),
)
def test_members_equal_the_oracles_at_every_instant(
    segment_bench, document, history, place, size
) -> None:
    check_members(segment_bench, document, history, round(place * len(history)), size)


@pytest.fixture
def only_one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_CLAIMS", 1)


@pytest.mark.usefixtures("only_one_claim")
@examples.on_one_database()
@given(
    document=on_events,
    history=linked_histories(),
    later=st.integers(0, 4),
    size=st.integers(1, 6),
)
def test_members_equal_the_oracles_where_links_are_capped(
    segment_bench, document, history, later, size
) -> None:
    check_members(segment_bench, document, history, len(history) - later, size)


@examples.on_one_database(0.5)
@given(
    document=on_events,
    history=matching_histories(),
    later=st.integers(0, 4),
    size=st.integers(1, 6),
)
def test_events_before_the_definition_of_a_segment_count(
    segment_bench, document, history, later, size
) -> None:
    check_members(segment_bench, document, history, len(history) - later, size)


@examples.on_one_database(0.5)
@given(
    document=sql_groups,
    history=irregular_histories(),
    later=st.integers(0, 4),
    size=st.integers(1, 6),
)
def test_members_found_in_sql_equal_the_oracles(
    segment_bench, document, history, later, size
) -> None:
    assert bulk.compile_members_query(parse_condition(document), to_micros(START)) is not None
    check_members(segment_bench, document, history, len(history) - later, size)


@examples.on_one_database(0.4)
@given(
    documents=st.tuples(on_events, on_events),
    history=matching_histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_segments_defined_one_after_the_other_are_each_backfilled(
    segment_bench, documents, history, places, size
) -> None:
    """Events occur before the first definition, between the two, and after both."""
    cuts = [round(place * len(history)) for place in places]
    minutes = [history[cut - 1].minute if cut else 0 for cut in cuts]
    whole = [
        *(HistoryEntry(0, defined(segment, None)) for segment in LISTS),
        *history[: cuts[0]],
        HistoryEntry(minutes[0], defined("one", documents[0])),
        *history[cuts[0] : cuts[1]],
        HistoryEntry(minutes[1], defined("other", documents[1])),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = segment_bench.project(records, 4_000)
    intervals = segment_bench.intervals(workspace)
    for name, minute, document in zip(("one", "other"), minutes, documents, strict=True):
        for clock in instants(records):
            if clock >= to_micros(at(minute)):
                assert members(intervals, name, clock) == expected_members(
                    records, document, clock
                ), clock
    in_batches = segment_bench.project(records, size)
    assert segment_bench.rows(in_batches) == segment_bench.rows(workspace)


@examples.on_one_database(0.4)
@given(
    document=conditions,
    others=st.tuples(without_references, without_references),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_segment_that_refers_to_another_follows_its_definition(
    segment_bench, document, others, history, places, size
) -> None:
    """The other definition changes; at the end the referring segment is archived."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed, ended = (history[cut - 1].minute if cut else 0 for cut in cuts)
    whole = [
        HistoryEntry(0, defined("s-1", None)),
        HistoryEntry(0, defined("s-2", others[0])),
        *history[: cuts[0]],
        HistoryEntry(begun, defined("tested", {"any": [document, {"segment": "s-2"}]})),
        *history[cuts[0] : cuts[1]],
        HistoryEntry(changed, defined("s-2", others[1])),
        *history[cuts[1] : cuts[2]],
        HistoryEntry(ended, archived("tested")),
        *history[cuts[2] :],
    ]
    records = ledger(whole)
    workspace = segment_bench.project(records, 4_000)
    intervals = segment_bench.intervals(workspace)
    for clock in instants(records):
        if to_micros(at(begun)) <= clock < to_micros(at(ended)):
            other = others[clock >= to_micros(at(changed))]
            condition = {"any": [document, {"segment": "s-2"}]}
            assert members(intervals, "tested", clock) == expected_members(
                records, condition, clock, {"s-2": other}
            )
        elif clock >= to_micros(at(ended)):
            assert not members(intervals, "tested", clock)
    in_batches = segment_bench.project(records, size)
    assert segment_bench.rows(in_batches) == segment_bench.rows(workspace)


@examples.on_one_database(0.4)
@given(
    document=conditions,
    computations=st.tuples(computation, computation),
    comparison=comparisons(st.just({}), relative=True),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_segment_that_refers_to_a_computed_attribute_follows_its_definition(
    segment_bench, document, computations, comparison, history, places, size
) -> None:
    """Directly, and through a score that refers to the computed attribute."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed = (history[cut - 1].minute if cut else 0 for cut in cuts)

    def refers_to(computed: Any) -> dict[str, Any]:
        return {"any": [document, {"none": [{"computed": computed} | comparison]}]}

    def score_of(computed: Any) -> dict[str, Any]:
        terms = [{"when": refers_to(computed), "points": 3}, {"when": document, "points": -1}]
        return {"score": [term for term in terms if "segment" not in repr(term)]}

    high = {"op": "gte", "value": 2}
    whole = [
        *(HistoryEntry(0, defined(segment, None)) for segment in LISTS),
        HistoryEntry(0, computed("x", {"computed": computations[0]})),
        HistoryEntry(0, computed("s", score_of("x"))),
        *history[: cuts[0]],
        HistoryEntry(begun, defined("tested", refers_to("x"))),
        HistoryEntry(begun, defined("scored", {"score": "s"} | high)),
        *history[cuts[0] : cuts[1]],
        HistoryEntry(changed, computed("x", {"computed": computations[1]})),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = segment_bench.project(records, 4_000)
    intervals = segment_bench.intervals(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(begun)):
            computation = computations[clock >= to_micros(at(changed))]
            assert members(intervals, "tested", clock) == expected_members(
                records, refers_to(computation), clock
            )
            scored = score_of(computation) | high
            assert members(intervals, "scored", clock) == expected_members(records, scored, clock)
    in_batches = segment_bench.project(records, size)
    assert segment_bench.rows(in_batches) == segment_bench.rows(workspace)
