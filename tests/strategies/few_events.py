"""Conditions on few events, whose result one more event can change."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.oracles import conditions as oracle
from tests.strategies.conditions import MINUTE, START

few_names = st.sampled_from(["a", "a", "b"])
counts = st.sampled_from(
    [{"at_least": bound} for bound in (1, 2, 3)]
    + [{"at_most": bound} for bound in (0, 1, 2)]
    + [{"exactly": bound} for bound in (0, 1, 2)]
    + [{"between": [1, 2]}, {"between": [0, 1]}]
)
counted = st.builds(
    lambda name, count, within: {"event": name, "count": count} | within,
    few_names,
    counts,
    st.sampled_from([{}, {"within": {"last": "9m"}}]),
)
occurred = st.builds(
    lambda name, which, age: {"event": name, "occurrence": which} | age,
    few_names,
    st.sampled_from(["first", "last"]),
    st.sampled_from([{"older_than": "6m"}, {"newer_than": "6m"}]),
)
in_order = st.builds(
    lambda steps, without: {"sequence": [{"event": name} for name in steps]} | without,
    st.lists(few_names, min_size=2, max_size=3),
    st.sampled_from([{}, {"without": [{"event": "b"}]}]),
)
leaves = counted | occurred | in_order
scores = st.builds(
    lambda whens, points, op: {
        "score": [{"when": when, "points": n} for when, n in zip(whens, points, strict=False)],
        "op": op,
        "value": 0,
    },
    st.lists(leaves, min_size=1, max_size=2),
    st.permutations([1, -1]),
    st.sampled_from(["gte", "lt", "eq"]),
)
of_few = leaves | scores | st.fixed_dictionaries({"none": st.lists(leaves, min_size=1, max_size=2)})
few = st.builds(
    lambda events: oracle.History(
        [oracle.Event(START + at * MINUTE, name, {}) for at, name in events]
    ),
    st.lists(st.tuples(st.integers(0, 12), few_names), max_size=4),
)
