"""Who is in a segment is what the oracle says, at every instant: as events come in, as time goes by,
and from a definition on that looks back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import parse_condition
from domain.core.time import to_micros
from projections.segments.backfill import bulk
from tests import examples
from tests.oracles.membership import expected, members
from tests.properties.membership_checks import holds_as_the_oracle_says
from tests.segment_history import (
    LISTS,
    START,
    Said,
    archived,
    at,
    computed,
    defined,
    instants,
    ledger,
)
from tests.strategies.conditions import (
    comparisons,
    computation,
    conditions,
)
from tests.strategies.segment_conditions import on_events, own, told_on_the_server
from tests.strategies.segment_histories import busy, histories, untidy


@examples.on_one_database(1)
@given(
    document=conditions,
    history=histories(),
    place=st.floats(0, 1),
    size=st.integers(1, 6),
)
def test_membership_is_what_the_oracle_says_at_every_instant(
    kept, document, history, place, size
) -> None:
    holds_as_the_oracle_says(kept, document, history, round(place * len(history)), size)


@examples.on_one_database(0.5)
@given(document=on_events, history=busy(), later=st.integers(0, 4), size=st.integers(1, 6))
def test_what_was_done_before_a_segment_was_defined_counts(
    kept, document, history, later, size
) -> None:
    holds_as_the_oracle_says(kept, document, history, len(history) - later, size)


@examples.on_one_database(0.5)
@given(
    document=told_on_the_server, history=untidy(), later=st.integers(0, 4), size=st.integers(1, 6)
)
def test_what_the_server_tells_of_a_new_segment_is_what_the_oracle_says(
    kept, document, history, later, size
) -> None:
    assert bulk.compile_members_query(parse_condition(document), to_micros(START)) is not None
    holds_as_the_oracle_says(kept, document, history, len(history) - later, size)


@examples.on_one_database(0.4)
@given(
    documents=st.tuples(on_events, on_events),
    history=busy(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_segments_that_are_defined_one_after_the_other_each_look_back(
    kept, documents, history, places, size
) -> None:
    """Whoever did something before the one, between the two, or after both."""
    cuts = [round(place * len(history)) for place in places]
    minutes = [history[cut - 1].minute if cut else 0 for cut in cuts]
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        *history[: cuts[0]],
        Said(minutes[0], defined("one", documents[0])),
        *history[cuts[0] : cuts[1]],
        Said(minutes[1], defined("other", documents[1])),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for name, minute, document in zip(("one", "other"), minutes, documents, strict=True):
        for clock in instants(records):
            if clock >= to_micros(at(minute)):
                assert members(stays, name, clock) == expected(records, document, clock), clock
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


@examples.on_one_database(0.4)
@given(
    document=conditions,
    rules=st.tuples(own, own),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_rule_that_asks_about_another_follows_what_is_decided_about_that(
    kept, document, rules, history, places, size
) -> None:
    """The other is changed, and in the end nobody may be in the one that asks."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed, ended = (history[cut - 1].minute if cut else 0 for cut in cuts)
    whole = [
        Said(0, defined("s-1", None)),
        Said(0, defined("s-2", rules[0])),
        *history[: cuts[0]],
        Said(begun, defined("asked", {"any": [document, {"segment": "s-2"}]})),
        *history[cuts[0] : cuts[1]],
        Said(changed, defined("s-2", rules[1])),
        *history[cuts[1] : cuts[2]],
        Said(ended, archived("asked")),
        *history[cuts[2] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if to_micros(at(begun)) <= clock < to_micros(at(ended)):
            rule = rules[clock >= to_micros(at(changed))]
            asked = {"any": [document, {"segment": "s-2"}]}
            assert members(stays, "asked", clock) == expected(records, asked, clock, {"s-2": rule})
        elif clock >= to_micros(at(ended)):
            assert not members(stays, "asked", clock)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


@examples.on_one_database(0.4)
@given(
    document=conditions,
    computations=st.tuples(computation, computation),
    compared=comparisons(st.just({}), relative=True),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_rule_that_asks_by_name_follows_what_the_name_stands_for(
    kept, document, computations, compared, history, places, size
) -> None:
    """By the computed attribute's name, and by that of a score that asks about it."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed = (history[cut - 1].minute if cut else 0 for cut in cuts)

    def asks(what: Any) -> dict[str, Any]:
        return {"any": [document, {"none": [{"computed": what} | compared]}]}

    def scores(what: Any) -> dict[str, Any]:
        points = [{"when": asks(what), "points": 3}, {"when": document, "points": -1}]
        return {"score": [it for it in points if "segment" not in repr(it)]}

    high = {"op": "gte", "value": 2}
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        Said(0, computed("x", {"computed": computations[0]})),
        Said(0, computed("s", scores("x"))),
        *history[: cuts[0]],
        Said(begun, defined("asked", asks("x"))),
        Said(begun, defined("scored", {"score": "s"} | high)),
        *history[cuts[0] : cuts[1]],
        Said(changed, computed("x", {"computed": computations[1]})),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(begun)):
            what = computations[clock >= to_micros(at(changed))]
            assert members(stays, "asked", clock) == expected(records, asks(what), clock)
            scored = scores(what) | high
            assert members(stays, "scored", clock) == expected(records, scored, clock)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)
