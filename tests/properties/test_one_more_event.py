"""One more event changes a result only as `can_flip_to` says for that number of events."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import EvaluationInput, parse_condition
from domain.conditions.base import MANY_EVENTS
from tests import examples
from tests.leaves import Leaves
from tests.oracles import conditions as oracle
from tests.properties.folding import merged_input
from tests.strategies.conditions import MINUTE, START, conditions, histories, names, properties
from tests.strategies.few_events import few, few_names, of_few


@examples.share(3)
@given(of_few, few, st.integers(0, 12), few_names)
def test_one_more_event_changes_the_result_only_as_its_number_allows(
    document, history, minute, name
) -> None:
    check_one_more(document, history, oracle.Event(START + minute * MINUTE, name, {}))


@examples.share(0.5)
@given(conditions, histories, st.integers(0, 12), names, properties)
def test_the_same_is_true_of_every_condition(
    document, history, minute, name, event_properties
) -> None:
    check_one_more(document, history, oracle.Event(START + minute * MINUTE, name, event_properties))


def check_one_more(document: Any, history: oracle.History, more: oracle.Event) -> None:
    program = Leaves(parse_condition(document))
    longer = history._replace(events=[*history.events, more])
    inputs = [input_of(program, history), input_of(program, longer)]
    before, after = (evaluation_input.summaries for evaluation_input in inputs)
    changed = {key for key, summary in after.items() if summary != before.get(key)}
    sizes = {key: size_of(before.get(key), after[key]) for key in changed}
    for clock in (START + minute * MINUTE for minute in (12, 13, 17, 72)):
        held, holds = (
            program.condition.holds(evaluation_input, clock) for evaluation_input in inputs
        )
        for known_sizes in ({}, sizes):
            assert held == holds or any(
                program.condition.can_flip_to(holds, key, known_sizes.get(key)) for key in changed
            )


def input_of(program: Leaves, history: oracle.History) -> EvaluationInput:
    number = len(history.events)
    return merged_input(program, history, [0] * number, list(range(number)), [0] * number)


def size_of(before: Any, after: Any) -> int:
    """Returns the number of events in a summary to which one was added."""
    return len(after) if isinstance(after, list) else 1 if before is None else MANY_EVENTS
