"""A funnel comes to what trying every way of every person comes to, in any order, merged or not."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.funnels import funnel as funnels
from domain.funnels import walks
from domain.funnels.walks import StepMatcher, Walk
from projections import identity, profile
from projections.funnels.counts import count_funnel as counted
from projections.funnels.counts import list_profiles_at_step
from projections.funnels.profile_walks import walk_profiles
from projections.runtime.projection import Reader
from tests import examples
from tests.builders import NOON
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded, stream_of
from tests.oracles import conditions as oracle
from tests.oracles.funnels import expected, way
from tests.properties.models import unsynced
from tests.strategies.funnels import events, said, seconds, steps, windows
from tests.strategies.histories import deliveries


def furthest(history, wanted, window):
    funnel = funnels.parse_funnel(
        {"steps": wanted} | ({} if window is None else {"window": window})
    )
    sieve, walk = StepMatcher(funnel.steps), Walk(len(funnel.steps))
    for it in sorted(history, key=lambda it: it.at):
        text = json.dumps(it.properties)
        if bits := sieve.matching_bits(it.name, text):
            walk.add(it.at, bits)
    return walk.longest_attempt(funnel.span)


@examples.share(1)
@given(history=events, wanted=steps, window=windows)
def test_nobody_can_come_further_or_earlier(history, wanted, window) -> None:
    assert furthest(history, wanted, window) == way(history, wanted, window)


def test_one_event_is_never_two_steps() -> None:
    one = [oracle.Event(0, "a", {})]
    assert furthest(one, [{"event": "a"}, {"event": "a"}], None) == (0,)
    assert furthest(one * 2, [{"event": "a"}, {"event": "a"}], None) == (0, 0)


def test_at_one_instant_an_event_is_left_for_the_step_that_needs_it() -> None:
    same = [oracle.Event(0, "a", {}), oracle.Event(0, "b", {})]
    assert furthest(same, [{"event": {"matching": "*"}}, {"event": "a"}], None) == (0, 0)


def test_whoever_lets_an_event_be_two_steps_is_caught(monkeypatch) -> None:
    monkeypatch.setattr(walks, "_seat", lambda step, crowd, *_: any(it >> step & 1 for it in crowd))
    same = [oracle.Event(0, "a", {}), oracle.Event(0, "b", {})]
    twice = [{"event": "a"}, {"event": "a"}]
    assert furthest(same, twice, None) == (0,)

    @examples.sabotaged()
    @given(history=events, wanted=steps, window=windows)
    def check(history, wanted, window) -> None:
        assert furthest(history, wanted, window) == way(history, wanted, window)

    with pytest.raises(AssertionError):
        check()


def test_a_funnel_may_take_exactly_its_window() -> None:
    two = [oracle.Event(0, "a", {}), oracle.Event(1_000_000, "b", {})]
    assert furthest(two, [{"event": "a"}, {"event": "b"}], "1s") == (0, 1_000_000)
    late = [two[0], oracle.Event(1_000_001, "b", {})]
    assert furthest(late, [{"event": "a"}, {"event": "b"}], "1s") == (0,)


def test_a_late_beginning_counts_if_it_leads_further() -> None:
    history = [
        oracle.Event(at * 1_000_000, name, {}) for at, name in ((0, "a"), (5, "a"), (6, "b"))
    ]
    wanted = [{"event": "a"}, {"event": "b"}]
    assert furthest(history, wanted, "3s") == (5_000_000, 6_000_000)
    assert furthest(history, wanted, None) == (0, 6_000_000)


@examples.on_one_database(0.3)
@given(
    data=st.data(),
    history=st.lists(said, min_size=1, max_size=14),
    wanted=steps,
    window=windows,
    since=st.one_of(st.none(), seconds),
)
def test_any_delivery_of_the_same_messages_gives_the_same_funnel(
    models, data, history, wanted, window, since
) -> None:
    kept = {it.message_id: it for it in reversed(data.draw(deliveries(history)))}
    workspace = next(models.workspaces)
    told = recorded(kept.values())
    models.feed.workspaces[workspace] = told
    models.projector.catch_up(workspace, data.draw(st.integers(1, 7)))
    document = {"steps": wanted, "breakdown": "properties.n"}
    if window is not None:
        document["window"] = window
    if since is not None:
        document["from"] = (NOON + timedelta(seconds=since)).isoformat()
        document["to"] = (NOON + timedelta(seconds=since + 4)).isoformat()
    with models.engine.connect() as tx:
        funnel = funnels.parse_funnel(document)
        clock = NOON + timedelta(days=1)
        asking = reader(tx, workspace)
        found = counted(asking, funnel, clock)
        walked = list(walk_profiles(asking, funnel, clock))
        listed = [
            len(
                list_profiles_at_step(
                    asking, iter(walked), len(wanted), step=it, lost=False, limit=99
                )[0]
            )
            for it in range(1, len(wanted) + 1)
        ]
    assert (
        [it["profiles"] for it in found["steps"]] == listed == expected(told, wanted, window, since)
    )
    by_value = [[it["profiles"] for it in each["steps"]] for each in found["breakdown"]]
    assert [sum(column) for column in zip(*by_value, strict=True)] in ([], listed)


def reader(tx, workspace) -> Reader:
    return Reader(
        tx=tx,
        workspace=workspace,
        stream_of=stream_of,
        profile=partial(identity.load_profile, tx, workspace),
        profile_ids=partial(identity.load_profile_ids, tx, workspace),
        identity_members=identity.member,
        session=lambda *_: None,
        profiles=partial(identity.load_profiles, tx, workspace),
        identifiers=partial(profile.load_identifiers, tx, workspace),
        computed_attributes=lambda _: {},
        recorded_event=lambda _: None,
        profile_as_of=lambda *_: None,
        projected_to=0,
    )


@pytest.fixture
def models(database):
    engine = unsynced(database)
    made = Given(engine)
    made.workspaces = count(1)
    yield made
    engine.dispose()
