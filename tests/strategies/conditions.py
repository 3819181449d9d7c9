"""Conditions of all kinds, and histories that may match them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.oracles import conditions as oracle
from tests.oracles import values

MINUTE = 60_000_000
START = values.micros("2026-01-01T00:00:00+00:00") or 0


names = st.sampled_from(["a", "b", "c"])
odd_names = st.text("ab*+|\\ ", max_size=4)
pieces = st.sampled_from(["a", "b", "*", "+", "|", " ", "\\*", "\\+", "\\|", "\\\\", "\\ "])
any_patterns = st.lists(pieces, min_size=1, max_size=6).map("".join)
patterns = any_patterns.filter(lambda pattern: oracle.terms(pattern) is not None)
minutes = st.integers(0, 12)
scalars = st.sampled_from(
    [0, 1, 2, 2.5, 0.1, 0.2, True, False, None, "x", "xy", "1", "2026-01-01T00:05:00+00:00"]
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "n": scalars,
        "items": st.lists(st.fixed_dictionaries({"n": scalars}), max_size=2) | scalars,
    },
)
events = st.lists(
    st.builds(
        oracle.Event,
        minutes.map(lambda minute: START + minute * MINUTE),
        names | odd_names,
        properties,
    ),
    max_size=6,
)
durations = st.sampled_from(["60s", "2m", "5m", "1h"])


def instant(minute: int) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()


instants = minutes.map(instant)


def comparisons(path: st.SearchStrategy[dict[str, Any]], *, relative: bool) -> Any:
    times = (
        instants | st.builds(lambda duration: {"ago": duration}, durations)
        if relative
        else instants
    )
    orders = st.sampled_from(["gt", "gte", "lt", "lte"])
    numbers = st.sampled_from([0, 1, 2, 2.5])
    operators = [
        st.fixed_dictionaries({"op": st.sampled_from(["eq", "ne"]), "value": scalars}),
        st.fixed_dictionaries({"op": orders, "value": numbers | st.sampled_from(["x", "xy"])}),
        st.fixed_dictionaries(
            {"op": st.sampled_from(["in", "not_in"]), "value": st.lists(scalars, max_size=2)}
        ),
        st.fixed_dictionaries(
            {"op": st.just("between"), "value": st.lists(numbers, min_size=2, max_size=2)}
        ),
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["contains", "not_contains"]),
                "value": st.sampled_from(["x", 1]),
            }
        ),
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["starts_with", "ends_with"]),
                "value": st.sampled_from(["x", "y"]),
            }
        ),
        st.fixed_dictionaries({"op": st.sampled_from(["exists", "not_exists"])}),
        st.fixed_dictionaries({"op": st.sampled_from(["before", "after", "on"]), "value": times}),
    ]
    return st.builds(lambda target, test: target | test, path, st.one_of(operators))


where = st.lists(
    comparisons(
        st.sampled_from(["properties.n", "properties.items[].n"]).map(lambda path: {"path": path}),
        relative=False,
    ),
    max_size=1,
)
event_names = names | odd_names | patterns.map(lambda pattern: {"matching": pattern})
step = st.builds(lambda name, tests: {"event": name, "where": tests}, event_names, where)
small = st.integers(0, 3)
counts = st.one_of(
    small.map(lambda bound: {"at_least": bound}),
    small.map(lambda bound: {"at_most": bound}),
    small.map(lambda bound: {"exactly": bound}),
    st.tuples(small, small).map(lambda bounds: {"between": sorted(bounds)}),
)
windows = st.one_of(
    st.just({}),
    durations.map(lambda duration: {"within": {"last": duration}}),
    instants.map(lambda start: {"within": {"from": start}}),
    instants.map(lambda end: {"within": {"to": end}}),
    st.tuples(instants, instants).map(
        lambda bounds: {"within": {"from": bounds[0], "to": bounds[1]}}
    ),
)
performed = st.builds(
    lambda step, count, window: step | {"count": count} | window, step, counts, windows
)
occurred = st.builds(
    lambda step, which, operator, age: step | {"occurrence": which, operator: age},
    step,
    st.sampled_from(["first", "last"]),
    st.sampled_from(["older_than", "newer_than"]),
    durations,
)
aggregated = st.builds(
    lambda step, fn, path, comparison, window: (
        step | {"aggregate": {"fn": fn, "path": path} | comparison} | window
    ),
    step,
    st.sampled_from(["sum", "avg", "min", "max", "distinct"]),
    st.sampled_from(["properties.n", "properties.items[].n"]),
    st.one_of(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
                "value": st.sampled_from([0, 1, 2, 2.5, 0.3, 3]),
            }
        ),
        st.just({"op": "between", "value": [1, 3]}),
    ),
    windows,
)
in_order = st.builds(
    lambda steps, within, without: {"sequence": steps} | within | without,
    st.lists(step, min_size=2, max_size=3),
    st.one_of(st.just({}), durations.map(lambda duration: {"within": duration})),
    st.lists(step, max_size=1).map(lambda without: {"without": without}),
)
computation = st.one_of(
    st.builds(lambda step, window: step | {"fn": "count"} | window, step, windows),
    st.builds(
        lambda step, fn, path, window: step | {"fn": fn, "path": path} | window,
        step,
        st.sampled_from(["sum", "avg", "min", "max", "first", "last", "distinct"]),
        st.sampled_from(["properties.n", "properties.items[].n"]),
        windows,
    ),
)
computed = st.builds(
    lambda computation, comparison: {"computed": computation} | comparison,
    computation,
    comparisons(st.just({}), relative=True),
)
on_facts = st.one_of(
    comparisons(
        st.sampled_from(["n", "deep.n", "items[].n"]).map(lambda path: {"attribute": path}),
        relative=True,
    ),
    st.fixed_dictionaries(
        {"tag": st.sampled_from(["vip", "new"])}, optional={"present": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"identifier": st.sampled_from(["email", "phone"])}, optional={"present": st.booleans()}
    ),
    st.fixed_dictionaries({"segment": st.sampled_from(["s-1", "s-2"])}),
)
leaves = st.one_of(performed, occurred, aggregated, computed, in_order, on_facts)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(
            lambda group, parts: {group: parts},
            st.sampled_from(["all", "any", "none"]),
            st.lists(inner, max_size=3),
        )
        | st.builds(
            lambda parts, op, value: {"score": parts, "op": op, "value": value},
            st.lists(
                st.fixed_dictionaries(
                    {"when": inner, "points": st.sampled_from([10, -5, 0.1, 0.2, 5])}
                ),
                max_size=3,
            ),
            st.sampled_from(["gte", "lt", "eq"]),
            st.sampled_from([0, 0.3, 5, 10]),
        )
    ),
    max_leaves=4,
)
histories = st.builds(
    oracle.History,
    events,
    st.fixed_dictionaries(
        {},
        optional={
            "n": scalars | instants,
            "deep": st.fixed_dictionaries({"n": scalars | instants}),
            "items": st.lists(st.fixed_dictionaries({"n": scalars}), max_size=2),
        },
    ),
    st.frozensets(st.sampled_from(["vip", "new"])),
    st.frozensets(st.sampled_from(["email", "phone"])),
    st.frozensets(st.sampled_from(["s-1", "s-2"])),
)
