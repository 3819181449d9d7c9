"""However a history is cut, ordered or raced over, the read models are the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from domain import profile_facts
from domain.message import Message
from projections import PROJECTIONS
from projections.projector import Projector
from tests.builders import NOON, anonymous, tracked, user
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded, with_payload

MOVES_WITH_ORDER = ("position", "recorded_at")

_workspaces = count(1)

on_a_database = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def models(database: str) -> Iterator[Given]:
    """Read models on one database; each example takes workspaces of its own in it."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    yield Given(engine)
    engine.dispose()


words = st.sampled_from(
    ["a", "b", "a b", "total", "", "ä", "session_id", "name", "email", "tags", "tag", "token"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**64 - 1, 0.0, -0.0, 1.0, 1.5, 1e300, 10.0**16]),
    st.sampled_from(["", "x", "1", "true", "\0", "x" * 65, "\U0001f600", "1234567890123456"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(words, values, max_size=4) | scalars,
        "traits": st.dictionaries(words, values, max_size=2),
        "context": st.dictionaries(
            st.sampled_from(["sessionId", "library", "traits", "device", "campaign"]),
            values,
            max_size=2,
        ),
        "channel": scalars,
        "name": scalars,
        "groupId": scalars,
    },
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    who = draw(
        st.sampled_from([(), (user(),), (user("u-2"),), (anonymous(),), (user(), anonymous())])
    )
    message = tracked(
        draw(
            st.sampled_from(["Viewed", "Bought", "page_view", "session_started", "\0"])
            | st.sampled_from(sorted(profile_facts.ACTS))
        ),
        identifiers=who,
        kind=draw(
            st.sampled_from(["track", "track", "page", "identify", "identify", "group", "alias"])
        ),
        occurred_at=NOON + timedelta(hours=draw(st.integers(-9, 9))),
    )
    return with_payload(message, draw(payloads))


histories = st.lists(messages(), min_size=1, max_size=25)


@on_a_database
@given(history=histories, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_the_size_of_batches_makes_no_difference(models, history, sizes):
    whole, cut = next(_workspaces), next(_workspaces)
    models.feed.workspaces |= {whole: recorded(history), cut: recorded(history)}

    models.projector.catch_up(whole)
    for size in sizes:
        models.projector.advance(cut, size)
    models.projector.catch_up(cut, 7)

    assert models.tables(workspace=whole) == models.tables(workspace=cut)


@on_a_database
@given(history=histories, data=st.data())
def test_the_order_of_messages_makes_no_difference(models, history, data):
    one, other = next(_workspaces), next(_workspaces)
    shuffled = data.draw(st.permutations(history))
    models.feed.workspaces |= {one: recorded(history), other: recorded(shuffled)}

    models.projector.catch_up(one, 4)
    models.projector.catch_up(other, 3)

    assert models.tables(workspace=one, without=MOVES_WITH_ORDER) == models.tables(
        workspace=other, without=MOVES_WITH_ORDER
    )


@settings(on_a_database, max_examples=15)
@given(history=histories, sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_workers_that_race_make_no_difference(models, history, sizes):
    alone, raced = next(_workspaces), next(_workspaces)
    models.feed.workspaces |= {alone: recorded(history), raced: recorded(history)}
    models.projector.catch_up(alone)

    racers = [
        Thread(
            target=Projector(models.feed, models.engine, PROJECTIONS).catch_up, args=(raced, size)
        )
        for size in sizes
    ]
    for it in racers:
        it.start()
    for it in racers:
        it.join()

    assert models.tables(workspace=alone) == models.tables(workspace=raced)


@settings(on_a_database, max_examples=15)
@given(history=histories, apart=st.integers(1, 25))
def test_read_models_that_stand_apart_come_to_the_same(models, history, apart):
    """One that was added or mended later takes its own batches until it has caught up."""
    together, one_late = next(_workspaces), next(_workspaces)
    models.feed.workspaces |= {together: recorded(history), one_late: recorded(history)}
    models.projector.catch_up(together)

    Projector(models.feed, models.engine, PROJECTIONS[:1]).advance(one_late, apart)
    models.projector.catch_up(one_late, 5)

    assert models.tables(workspace=together) == models.tables(workspace=one_late)
