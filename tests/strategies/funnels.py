"""Funnels, and histories that may walk through them."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.oracles import conditions as oracle

NAMES = ("a", "b", "c")
wheres = st.sampled_from(
    [
        [],
        [],
        [{"path": "properties.n", "op": "gt", "value": 0}],
        [{"path": "properties.n", "op": "ne", "value": 1}],
    ]
)
names = st.sampled_from([*NAMES, "a", {"matching": "*"}, {"matching": "a+b"}, {"matching": "*|a"}])
steps = st.lists(st.fixed_dictionaries({"event": names, "where": wheres}), min_size=1, max_size=4)
windows = st.sampled_from([None, "1s", "3s", "1m"])
seconds = st.integers(0, 8)
events = st.lists(
    st.builds(
        lambda at, name, n: oracle.Event(at * 1_000_000, name, {} if n is None else {"n": n}),
        seconds,
        st.sampled_from(NAMES),
        st.sampled_from([None, 0, 1, 2]),
    ),
    max_size=7,
)


identifiers = st.sampled_from([user("ann"), user("bob"), anonymous("x"), anonymous("y")])
tracked_messages = st.builds(
    lambda name, shown, at, n: tracked(
        name, *shown, occurred_at=NOON + timedelta(seconds=at), properties={"n": n}
    ),
    st.sampled_from(NAMES),
    st.one_of(st.tuples(identifiers), st.tuples(st.just(user("ann")), st.just(anonymous("x")))),
    seconds,
    st.integers(0, 2),
)
messages = st.one_of(
    tracked_messages,
    tracked_messages,
    tracked_messages,
    st.builds(merged, identifiers, identifiers),
    st.builds(unmerged, identifiers, identifiers),
)
