"""Invalid conditions are refused with a message, and no explanation ever fails."""

from __future__ import annotations

import pytest

from domain.conditions import (
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
)
from domain.core.errors import InvalidRequest
from tests.leaves import Leaves

HUGE = 10**400
EVENT = {"event": "a"}


@pytest.mark.parametrize(
    "document",
    [
        {"attribute": "n", "op": "gt", "value": HUGE},
        {"attribute": "n", "op": "before", "value": HUGE},
        {"attribute": "n", "op": "before", "value": {"ago": []}},
        {"attribute": "n", "op": "before", "value": {"ago": 5}},
        EVENT | {"aggregate": {"fn": "sum", "path": "properties.n", "op": "gt", "value": HUGE}},
        EVENT | {"count": {"at_least": HUGE}},
        EVENT | {"where": [{"path": 'properties["\\x"]', "op": "exists"}]},
        EVENT | {"within": {"last": "99999999999d"}},
        EVENT | {"within": {"last": []}},
        [],
        None,
        {"all": 1},
    ],
    ids=repr,
)
def test_an_invalid_condition_is_refused(document) -> None:
    with pytest.raises(InvalidRequest):
        parse_condition(document)


@pytest.mark.parametrize("at", [HUGE, -HUGE, 1e308, 2**63, 253402300799, "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("op", ["before", "after", "on"])
def test_a_time_out_of_range_is_explained_as_never_changing(op, at) -> None:
    condition = parse_condition({"attribute": "at", "op": op, "value": {"ago": "36525d"}})
    assert (
        condition.explain(EvaluationInput({}, lambda: ProfileFacts({"at": at})), 0)["changes_at"]
        is None
    )


def test_numbers_too_large_for_a_double_do_not_stop_an_explanation() -> None:
    aggregate = {"fn": "sum", "path": "properties.n", "op": "gt", "value": 1}
    leaves = Leaves(parse_condition(EVENT | {"aggregate": aggregate}))
    [(key, add)] = leaves.add_functions.items()
    summary = None
    for number in (1.7e308, 1.7e308, HUGE):
        summary = add(summary, EventView(1, b"1", "a", {"properties": {"n": number}}))
    assert leaves.condition.explain(EvaluationInput({key: summary}), 2)["result"] == "3.400000e+308"
