"""However a history is cut or raced over, the read models are the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from projections import PROJECTIONS
from projections.runtime.projector import Projector
from tests import examples
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded
from tests.strategies.histories import histories

_workspaces = count(1)


@pytest.fixture
def models(database: str) -> Iterator[Given]:
    """Read models on one database; each example takes workspaces of its own in it."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    yield Given(engine)
    engine.dispose()


@examples.on_one_database(0.15)
@given(history=histories, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_the_size_of_batches_makes_no_difference(models, history, sizes):
    whole, cut = next(_workspaces), next(_workspaces)
    models.feed.workspaces |= {whole: recorded(history), cut: recorded(history)}

    models.projector.catch_up(whole)
    for size in sizes:
        models.projector.advance(cut, size)
    models.projector.catch_up(cut, 7)

    assert models.tables(workspace=whole) == models.tables(workspace=cut)


@examples.on_one_database(0.1)
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


@examples.on_one_database(0.1)
@given(history=histories, apart=st.integers(1, 25))
def test_read_models_that_stand_apart_come_to_the_same(models, history, apart):
    """One that was added or mended later takes its own batches until it has caught up."""
    together, one_late = next(_workspaces), next(_workspaces)
    models.feed.workspaces |= {together: recorded(history), one_late: recorded(history)}
    models.projector.catch_up(together)

    Projector(models.feed, models.engine, PROJECTIONS[:1]).advance(one_late, apart)
    models.projector.catch_up(one_late, 5)

    assert models.tables(workspace=together) == models.tables(workspace=one_late)
