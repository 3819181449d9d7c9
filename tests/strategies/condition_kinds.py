"""Conditions by kind, and events that they are likely to match."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.oracles import conditions as oracle
from tests.strategies.conditions import MINUTE, START, counts, durations, minutes, windows

likely = st.builds(
    lambda at, n: oracle.Event(START + at * MINUTE, "a", {"n": n}),
    minutes,
    st.sampled_from([1, 2, 2.5]),
)
moving = durations.map(lambda duration: {"within": {"last": duration}})
plain = st.just({"event": "a"})
filtered = st.sampled_from([[], [{"path": "properties.n", "op": "gt", "value": 1}]]).map(
    lambda where: {"event": "a", "where": where}
)
KINDS = {
    "performed": st.builds(
        lambda step, count, window: step | {"count": count} | window, plain, counts, moving
    ),
    "occurred": st.builds(
        lambda step, which, operator, age: step | {"occurrence": which, operator: age},
        plain,
        st.sampled_from(["first", "last"]),
        st.sampled_from(["older_than", "newer_than"]),
        durations,
    ),
    "aggregated": st.builds(
        lambda step, fn, value, window: (
            step
            | {"aggregate": {"fn": fn, "path": "properties.n", "op": "gte", "value": value}}
            | window
        ),
        filtered,
        st.sampled_from(["sum", "avg", "min", "max", "distinct"]),
        st.sampled_from([0, 1, 2, 3]),
        moving,
    ),
    "computed": st.builds(
        lambda step, fn, value, window: {
            "computed": step
            | {"fn": fn}
            | ({} if fn == "count" else {"path": "properties.n"})
            | window,
            "op": "gte",
            "value": value,
        },
        filtered,
        st.sampled_from(["count", "sum", "avg", "min", "max", "first", "last", "distinct"]),
        st.sampled_from([0, 1, 2, 3]),
        moving,
    ),
    "fixed": st.builds(
        lambda step, count, window: step | {"count": count} | window, plain, counts, windows
    ),
    "relative": st.builds(
        lambda op, span: {"attribute": "at", "op": op, "value": {"ago": span}},
        st.sampled_from(["before", "after", "on"]),
        durations,
    ),
}
