"""A funnel equals trying every attempt of every profile, in any order, merged or not."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.funnels import funnel as funnels
from domain.funnels import walks
from domain.funnels.walks import StepMatcher, Walk
from interfaces.query_reader import QueryReader
from projections.funnels.counts import count_funnel, list_profiles_at_step
from projections.funnels.profile_walks import walk_profiles
from tests import examples
from tests.builders import NOON
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded
from tests.oracles import conditions as oracle
from tests.oracles.funnels import expected_counts, furthest_walk
from tests.properties.models import unsynced
from tests.strategies.funnels import events, messages, seconds, steps, windows
from tests.strategies.histories import deliveries


def longest_attempt(history, step_documents, window):
    funnel = funnels.parse_funnel(
        {"steps": step_documents} | ({} if window is None else {"window": window})
    )
    matcher, walk = StepMatcher(funnel.steps), Walk(len(funnel.steps))
    for event in sorted(history, key=lambda event: event.at):
        properties = json.dumps(event.properties)
        if bits := matcher.matching_bits(event.name, properties):
            walk.add(event.at, bits)
    return walk.longest_attempt(funnel.span)


@examples.share(1)
@given(history=events, step_documents=steps, window=windows)
def test_no_other_attempt_gets_further_or_is_earlier(history, step_documents, window) -> None:
    assert longest_attempt(history, step_documents, window) == furthest_walk(
        history, step_documents, window
    )


def test_one_event_is_never_two_steps() -> None:
    single = [oracle.Event(0, "a", {})]
    assert longest_attempt(single, [{"event": "a"}, {"event": "a"}], None) == (0,)
    assert longest_attempt(single * 2, [{"event": "a"}, {"event": "a"}], None) == (0, 0)


def test_at_one_instant_an_event_is_left_for_the_step_that_needs_it() -> None:
    same = [oracle.Event(0, "a", {}), oracle.Event(0, "b", {})]
    assert longest_attempt(same, [{"event": {"matching": "*"}}, {"event": "a"}], None) == (0, 0)


def test_an_implementation_that_uses_an_event_for_two_steps_is_caught(monkeypatch) -> None:
    monkeypatch.setattr(
        walks, "_assign_event", lambda step, events, *_: any(bits >> step & 1 for bits in events)
    )
    same = [oracle.Event(0, "a", {}), oracle.Event(0, "b", {})]
    twice = [{"event": "a"}, {"event": "a"}]
    assert longest_attempt(same, twice, None) == (0,)

    @examples.sabotaged()
    @given(history=events, step_documents=steps, window=windows)
    def check(history, step_documents, window) -> None:
        assert longest_attempt(history, step_documents, window) == furthest_walk(
            history, step_documents, window
        )

    with pytest.raises(AssertionError):
        check()


def test_a_funnel_may_take_exactly_its_window() -> None:
    two = [oracle.Event(0, "a", {}), oracle.Event(1_000_000, "b", {})]
    assert longest_attempt(two, [{"event": "a"}, {"event": "b"}], "1s") == (0, 1_000_000)
    late = [two[0], oracle.Event(1_000_001, "b", {})]
    assert longest_attempt(late, [{"event": "a"}, {"event": "b"}], "1s") == (0,)


def test_a_later_start_counts_if_it_gets_further() -> None:
    history = [
        oracle.Event(at * 1_000_000, name, {}) for at, name in ((0, "a"), (5, "a"), (6, "b"))
    ]
    two_steps = [{"event": "a"}, {"event": "b"}]
    assert longest_attempt(history, two_steps, "3s") == (5_000_000, 6_000_000)
    assert longest_attempt(history, two_steps, None) == (0, 6_000_000)


@examples.on_one_database(0.3)
@given(
    data=st.data(),
    history=st.lists(messages, min_size=1, max_size=14),
    step_documents=steps,
    window=windows,
    since=st.one_of(st.none(), seconds),
)
def test_any_delivery_of_the_same_messages_gives_the_same_funnel(
    models, data, history, step_documents, window, since
) -> None:
    first_copies = {
        message.message_id: message for message in reversed(data.draw(deliveries(history)))
    }
    workspace = next(models.workspaces)
    events = recorded(first_copies.values())
    models.feed.workspaces[workspace] = events
    models.projector.catch_up(workspace, data.draw(st.integers(1, 7)))
    document = {"steps": step_documents, "breakdown": "properties.n"}
    if window is not None:
        document["window"] = window
    if since is not None:
        document["from"] = (NOON + timedelta(seconds=since)).isoformat()
        document["to"] = (NOON + timedelta(seconds=since + 4)).isoformat()
    with models.engine.connect() as tx:
        funnel = funnels.parse_funnel(document)
        clock = NOON + timedelta(days=1)
        reader = QueryReader(models.feed, tx, workspace, projected_to=0)
        answer = count_funnel(reader, funnel, clock)
        walked = list(walk_profiles(reader, funnel, clock))
        listed = [
            len(
                list_profiles_at_step(
                    reader, iter(walked), len(step_documents), step=step, lost=False, limit=99
                )[0]
            )
            for step in range(1, len(step_documents) + 1)
        ]
    counted = [step["profiles"] for step in answer["steps"]]
    assert counted == listed == expected_counts(events, step_documents, window, since)
    by_value = [[step["profiles"] for step in row["steps"]] for row in answer["breakdown"]]
    assert [sum(column) for column in zip(*by_value, strict=True)] in ([], listed)


@pytest.fixture
def models(database):
    engine = unsynced(database)
    given_models = Given(engine)
    given_models.workspaces = count(1)
    yield given_models
    engine.dispose()
