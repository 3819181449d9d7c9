"""A funnel comes to what trying every way of every person comes to, in any order, merged or not."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from functools import partial
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.core.time import to_micros
from domain.funnels import funnel as funnels
from domain.funnels import walks
from domain.funnels.walks import Sieve, Walk
from domain.identity.resolution import facts_of
from domain.identity.resolved_profile import find
from projections import identity, profile
from projections.funnels.answers import count as counted
from projections.funnels.answers import people
from projections.funnels.walking import gone
from projections.runtime.projection import Reader
from tests import oracle
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded, stream_of
from tests.properties.histories import deliveries
from tests.properties.test_convergence import each_on_its_workspaces, unsynced

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


def furthest(history, wanted, window):
    funnel = funnels.read({"steps": wanted} | ({} if window is None else {"window": window}))
    sieve, walk = Sieve(funnel.steps), Walk(len(funnel.steps))
    for it in sorted(history, key=lambda it: it.at):
        text = json.dumps(it.properties)
        if bits := sieve.bits(it.name, text):
            walk.add(it.at, bits)
    return walk.furthest(funnel.span)


@settings(max_examples=1_000)
@given(history=events, wanted=steps, window=windows)
def test_nobody_can_come_further_or_earlier(history, wanted, window) -> None:
    assert furthest(history, wanted, window) == oracle.way(history, wanted, window)


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
    with pytest.raises(AssertionError):
        test_nobody_can_come_further_or_earlier()


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


who = st.sampled_from([user("ann"), user("bob"), anonymous("x"), anonymous("y")])
happened = st.builds(
    lambda name, whom, at, n: tracked(
        name, *whom, occurred_at=NOON + timedelta(seconds=at), properties={"n": n}
    ),
    st.sampled_from(NAMES),
    st.one_of(st.tuples(who), st.tuples(st.just(user("ann")), st.just(anonymous("x")))),
    seconds,
    st.integers(0, 2),
)
said = st.one_of(
    happened,
    happened,
    happened,
    st.builds(merged, who, who),
    st.builds(unmerged, who, who),
)


@settings(each_on_its_workspaces, max_examples=150)
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
        funnel = funnels.read(document)
        clock = NOON + timedelta(days=1)
        asking = reader(tx, workspace)
        found = counted(asking, funnel, clock)
        walked = list(gone(asking, funnel, clock))
        listed = [
            len(people(asking, iter(walked), len(wanted), step=it, lost=False, limit=99)[0])
            for it in range(1, len(wanted) + 1)
        ]
    assert (
        [it["profiles"] for it in found["steps"]] == listed == expected(told, wanted, window, since)
    )
    by_value = [[it["profiles"] for it in each["steps"]] for each in found["breakdown"]]
    assert [sum(column) for column in zip(*by_value, strict=True)] in ([], listed)


def expected(told, wanted, window, since) -> list[int]:
    facts = [fact for it in told for fact in facts_of(it.event)]
    theirs = defaultdict(list)
    for it in told:
        if getattr(it.event, "kind", None) != "track":
            continue
        at = to_micros(it.event.occurred_at)
        offset = (at - to_micros(NOON)) // 1_000_000
        if since is None or since <= offset < since + 4:
            n = json.loads(it.event.payload)["properties"]["n"]
            person = find(it.stream, facts, stream_of).id
            theirs[person].append(oracle.Event(at, it.event.name, {"n": n}))
    depths = [len(oracle.way(each, wanted, window)) for each in theirs.values()]
    return [sum(it > place for it in depths) for place in range(len(wanted))]


def reader(tx, workspace) -> Reader:
    return Reader(
        tx=tx,
        workspace=workspace,
        stream_of=stream_of,
        person=partial(identity.person, tx, workspace),
        people=partial(identity.people, tx, workspace),
        whose=identity.member,
        session=lambda *_: None,
        persons=partial(identity.persons, tx, workspace),
        names=partial(profile.names, tx, workspace),
        computed=lambda _: {},
        recorded=lambda _: None,
        past=lambda *_: None,
        projected_to=0,
    )


@pytest.fixture
def models(database):
    engine = unsynced(database)
    made = Given(engine)
    made.workspaces = count(1)
    yield made
    engine.dispose()
