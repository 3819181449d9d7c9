"""What one more event may make of a condition's answer is what the condition says of so many events."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import CompiledCondition, parse_condition
from domain.conditions.base import MANY_EVENTS
from tests import examples
from tests.oracles import conditions as oracle
from tests.properties.folding import known
from tests.strategies.conditions import MINUTE, START, conditions, histories, names, properties
from tests.strategies.few_events import few, few_names, of_few


@examples.share(3)
@given(of_few, few, st.integers(0, 12), few_names)
def test_one_more_event_makes_of_the_answer_only_what_its_number_allows(
    document, history, minute, name
) -> None:
    allows(document, history, oracle.Event(START + minute * MINUTE, name, {}))


@examples.share(0.5)
@given(conditions, histories, st.integers(0, 12), names, properties)
def test_so_it_is_of_every_condition(document, history, minute, name, said) -> None:
    allows(document, history, oracle.Event(START + minute * MINUTE, name, said))


def allows(document: Any, history: oracle.History, more: oracle.Event) -> None:
    program = CompiledCondition(parse_condition(document))
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
                program.condition.can_flip_to(holds, key, told.get(key)) for key in changed
            )


def size_of(before: Any, after: Any) -> int:
    """Return how many events there are in a summary to which one was added."""
    return len(after) if isinstance(after, list) else 1 if before is None else MANY_EVENTS
