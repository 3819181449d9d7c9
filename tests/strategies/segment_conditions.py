"""Conditions of segments that are asked of histories by the minute."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.strategies.conditions import (
    aggregated,
    conditions,
    in_order,
    occurred,
    performed,
    windows,
)

on_events = st.builds(
    lambda it, name: it | {"event": name} if "event" in it else it,
    st.one_of(performed, performed, occurred, aggregated, in_order),
    st.sampled_from(["a", "b"]),
)


told_where = st.lists(
    st.builds(
        lambda op, value: {"path": "properties.n", "op": op, "value": value},
        st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
        st.sampled_from([-1, 0, 1, 2.5, 0.1]),
    )
    | st.sampled_from(["x", "1", True]).map(
        lambda it: {"path": "properties.n", "op": "eq", "value": it}
    ),
    max_size=2,
)
told_aggregate = st.builds(
    lambda fn, op, value, window: (
        {"aggregate": {"fn": fn, "path": "properties.n", "op": op, "value": value}} | window
    ),
    st.sampled_from(["sum", "sum", "avg", "min", "max"]),
    st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
    st.sampled_from([-2, 0, 1, 2.5, 3, 0.3]),
    windows,
)
told = st.builds(
    lambda it, tests: it | {"event": "a", "where": tests},
    st.one_of(performed, occurred, told_aggregate),
    told_where,
)
told_on_the_server = st.one_of(
    told,
    st.builds(
        lambda how, parts: {how: parts},
        st.sampled_from(["all", "any", "none"]),
        st.lists(told, min_size=1, max_size=3),
    ),
    st.builds(lambda one, other: {"all": [one, {"none": [other]}]}, told, told),
)


own = conditions.filter(lambda it: "s-2" not in repr(it))
"""Conditions of s-2 itself."""
