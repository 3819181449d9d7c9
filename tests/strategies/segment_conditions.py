"""Conditions of segments for histories by the minute."""

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
    lambda condition, name: condition | {"event": name} if "event" in condition else condition,
    st.one_of(performed, performed, occurred, aggregated, in_order),
    st.sampled_from(["a", "b"]),
)


sql_where = st.lists(
    st.builds(
        lambda op, value: {"path": "properties.n", "op": op, "value": value},
        st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
        st.sampled_from([-1, 0, 1, 2.5, 0.1]),
    )
    | st.sampled_from(["x", "1", True]).map(
        lambda value: {"path": "properties.n", "op": "eq", "value": value}
    ),
    max_size=2,
)
sql_aggregate = st.builds(
    lambda fn, op, value, window: (
        {"aggregate": {"fn": fn, "path": "properties.n", "op": op, "value": value}} | window
    ),
    st.sampled_from(["sum", "sum", "avg", "min", "max"]),
    st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
    st.sampled_from([-2, 0, 1, 2.5, 3, 0.3]),
    windows,
)
sql_conditions = st.builds(
    lambda condition, tests: condition | {"event": "a", "where": tests},
    st.one_of(performed, occurred, sql_aggregate),
    sql_where,
)
sql_groups = st.one_of(
    sql_conditions,
    st.builds(
        lambda group, parts: {group: parts},
        st.sampled_from(["all", "any", "none"]),
        st.lists(sql_conditions, min_size=1, max_size=3),
    ),
    st.builds(
        lambda included, excluded: {"all": [included, {"none": [excluded]}]},
        sql_conditions,
        sql_conditions,
    ),
)


without_references = conditions.filter(lambda condition: "s-2" not in repr(condition))
"""Conditions for segment s-2, which must not refer to itself."""
