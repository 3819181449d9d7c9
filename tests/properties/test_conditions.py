"""Conditions equal the oracle for any order of events, any streams and any instant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import parse_condition
from domain.core.errors import InvalidRequest
from tests import examples
from tests.leaves import Leaves
from tests.oracles import conditions as oracle
from tests.properties.folding import merged_input, stored
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
def test_a_condition_holds_exactly_when_the_oracle_holds(document, history, data) -> None:
    assert_equal_at_every_instant(document, history, data)


@examples.share(1)
@given(
    any_patterns | st.text("a*+|\\ ", max_size=5), st.lists(odd_names | st.text("ab", max_size=5))
)
def test_a_pattern_matches_the_names_that_the_oracle_matches_or_is_refused(pattern, names) -> None:
    if oracle.terms(pattern) is None:
        with pytest.raises(InvalidRequest):
            parse_condition({"event": {"matching": pattern}})
        return
    leaves = Leaves(parse_condition({"event": {"matching": pattern}}))
    for name in names:
        assert bool(leaves.watching(name)) == oracle.matches_name(name, {"matching": pattern})


@pytest.mark.parametrize("kind", KINDS)
@examples.share(0.3)
@given(st.data())
def test_each_kind_changes_at_the_predicted_instant(kind, data) -> None:
    document = data.draw(KINDS[kind])
    history = oracle.History(
        data.draw(st.lists(likely, max_size=5)), attributes={"at": data.draw(instants)}
    )
    assert_equal_at_every_instant(document, history, data)


def assert_equal_at_every_instant(document, history, data) -> None:
    indexes = list(range(len(history.events)))
    order = data.draw(st.permutations(indexes))
    streams = [data.draw(st.integers(0, 2)) for _ in indexes]
    leaves = Leaves(parse_condition(document))
    minutes_ahead = [data.draw(st.sampled_from([0, 0, 0, 1, 7, 13])) for _ in indexes]
    inputs = merged_input(leaves, history, streams, order, minutes_ahead)
    # Every instant that can matter (a time, a time plus a window), and one microsecond on either side.
    spans = (0, MINUTE, 2 * MINUTE, 5 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE)
    times = {START + minute * MINUTE + span for minute in range(13) for span in spans}
    recorded = (
        event.at - minutes * MINUTE
        for event, minutes in zip(history.events, minutes_ahead, strict=True)
    )
    last_recorded = max(recorded, default=START)
    clocks = sorted(
        at + offset for at in times for offset in (-1, 0, 1) if at + offset >= last_recorded
    )
    event_times = [event.at for event in history.events]
    changes_at = None
    last_result = last_clock = None
    is_stored = data.draw(st.booleans())
    for clock in clocks:
        if is_stored:
            inputs = inputs._replace(summaries=stored(leaves, inputs.summaries, clock))
        result = leaves.condition.holds(inputs, clock)
        assert result == oracle.holds(document, history, clock)
        if last_result is not None and result != last_result:
            assert changes_at is not None
            assert changes_at <= clock
            assert result in leaves.condition.flips_with_time or any(
                last_clock < at for at in event_times
            )
        if changes_at is None or changes_at <= clock:
            changes_at = leaves.condition.changes_at(inputs, clock)
            assert changes_at is None or changes_at > clock
        last_result, last_clock = result, clock
