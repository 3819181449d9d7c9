"""What one more event may make of a condition's answer is what the condition says of so many events."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.conditions import Program, read
from domain.conditions.base import SEVERAL
from tests import oracle
from tests.properties.test_conditions import (
    MINUTE,
    START,
    conditions,
    histories,
    known,
    names,
    properties,
)

few_names = st.sampled_from(["a", "a", "b"])
counts = st.sampled_from(
    [{"at_least": it} for it in (1, 2, 3)]
    + [{"at_most": it} for it in (0, 1, 2)]
    + [{"exactly": it} for it in (0, 1, 2)]
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
    lambda steps, without: {"sequence": [{"event": it} for it in steps]} | without,
    st.lists(few_names, min_size=2, max_size=3),
    st.sampled_from([{}, {"without": [{"event": "b"}]}]),
)
leaves = counted | occurred | in_order
scores = st.builds(
    lambda whens, points, op: {
        "score": [{"when": it, "points": n} for it, n in zip(whens, points, strict=False)],
        "op": op,
        "value": 0,
    },
    st.lists(leaves, min_size=1, max_size=2),
    st.permutations([1, -1]),
    st.sampled_from(["gte", "lt", "eq"]),
)
of_few = leaves | scores | st.fixed_dictionaries({"none": st.lists(leaves, min_size=1, max_size=2)})
few = st.builds(
    lambda events: oracle.History([oracle.Event(START + at * MINUTE, it, {}) for at, it in events]),
    st.lists(st.tuples(st.integers(0, 12), few_names), max_size=4),
)


@settings(max_examples=3000)
@given(of_few, few, st.integers(0, 12), few_names)
def test_one_more_event_makes_of_the_answer_only_what_its_number_allows(
    document, history, minute, name
) -> None:
    allows(document, history, oracle.Event(START + minute * MINUTE, name, {}))


@settings(max_examples=500)
@given(conditions, histories, st.integers(0, 12), names, properties)
def test_so_it_is_of_every_condition(document, history, minute, name, said) -> None:
    allows(document, history, oracle.Event(START + minute * MINUTE, name, said))


def allows(document: Any, history: oracle.History, more: oracle.Event) -> None:
    program = Program(read(document))
    longer = history._replace(events=[*history.events, more])
    facts = [
        known(program, it, [0] * len(it.events), list(range(len(it.events))), [0] * len(it.events))
        for it in (history, longer)
    ]
    before, after = (it.summaries for it in facts)
    changed = {key for key, summary in after.items() if summary != before.get(key)}
    sizes = {key: size_of(before.get(key), after[key]) for key in changed}
    for clock in (START + it * MINUTE for it in (12, 13, 17, 72)):
        was, holds = (program.condition.holds(it, clock) for it in facts)
        for told in ({}, sizes):
            assert was == holds or any(
                program.condition.can_become(holds, key, told.get(key)) for key in changed
            )


def size_of(before: Any, after: Any) -> int:
    """Return how many events there are in a summary to which one was added."""
    return len(after) if isinstance(after, list) else 1 if before is None else SEVERAL
