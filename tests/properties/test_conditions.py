"""Conditions mean what the oracle says, whatever the order, the streams, the instant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import CompiledCondition, parse_condition
from domain.core.errors import InvalidRequest
from tests import examples
from tests.oracles import conditions as oracle
from tests.properties.folding import known, stored
from tests.strategies.condition_kinds import KINDS, likely
from tests.strategies.conditions import (
    MINUTE,
    START,
    any_patterns,
    conditions,
    histories,
    instants,
    odd_names,
)


@pytest.mark.smoke
@examples.share(1)
@given(conditions, histories, st.data())
def test_a_condition_holds_exactly_when_the_oracle_says(document, history, data) -> None:
    agrees_at_every_instant(document, history, data)


@examples.share(1)
@given(
    any_patterns | st.text("a*+|\\ ", max_size=5), st.lists(odd_names | st.text("ab", max_size=5))
)
def test_a_pattern_takes_the_names_that_the_oracle_says_or_is_refused(pattern, said) -> None:
    if oracle.terms(pattern) is None:
        with pytest.raises(InvalidRequest):
            parse_condition({"event": {"matching": pattern}})
        return
    program = CompiledCondition(parse_condition({"event": {"matching": pattern}}))
    for name in said:
        assert bool(program.keys_watching(name)) == oracle.named(name, {"matching": pattern})


@pytest.mark.parametrize("kind", KINDS)
@examples.share(0.3)
@given(st.data())
def test_each_kind_changes_at_the_very_instant(kind, data) -> None:
    document = data.draw(KINDS[kind])
    history = oracle.History(
        data.draw(st.lists(likely, max_size=5)), attributes={"at": data.draw(instants)}
    )
    agrees_at_every_instant(document, history, data)


def agrees_at_every_instant(document, history, data) -> None:
    places = list(range(len(history.events)))
    order = data.draw(st.permutations(places))
    streams = [data.draw(st.integers(0, 2)) for _ in places]
    program = CompiledCondition(parse_condition(document))
    ahead = [data.draw(st.sampled_from([0, 0, 0, 1, 7, 13])) for _ in places]
    facts = known(program, history, streams, order, ahead)
    # At every instant that can matter (a time, a time and a window), one before it and one after it.
    spans = (0, MINUTE, 2 * MINUTE, 5 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE)
    times = {START + minute * MINUTE + span for minute in range(13) for span in spans}
    recorded = (it.at - by * MINUTE for it, by in zip(history.events, ahead, strict=True))
    last = max(recorded, default=START)
    clocks = sorted(it + near for it in times for near in (-1, 0, 1) if it + near >= last)
    comes = [it.at for it in history.events]
    changes = None
    before = asked = None
    is_kept = data.draw(st.booleans())
    for clock in clocks:
        if is_kept:
            facts = facts._replace(summaries=stored(program, facts.summaries, clock))
        answer = program.condition.holds(facts, clock)
        assert answer == oracle.holds(document, history, clock)
        if before is not None and answer != before:
            assert changes is not None
            assert changes <= clock
            assert answer in program.condition.flips_with_time or any(asked < it for it in comes)
        if changes is None or changes <= clock:
            changes = program.condition.changes_at(facts, clock)
            assert changes is None or changes > clock
        before, asked = answer, clock
