"""Read models on a database of their own, fed from a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, create_engine

from projections.runtime.projector import Projector
from projections.runtime.worker import work
from tests.fix_postgres import Template
from tests.integration.projections.given import Given


@pytest.fixture(scope="session")
def template(modelled: Template) -> Template:
    """Databases here have the tables of the read models already."""
    return modelled


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.dispose()


@pytest.fixture
def given(engine: Engine) -> Given:
    return Given(engine)


@pytest.fixture
def running() -> Iterator[Callable[[Projector], None]]:
    """Run projectors until the test ends."""
    stop, threads = Event(), list[Thread]()

    def run(projector: Projector) -> None:
        threads.append(Thread(target=work, args=(projector, stop)))
        threads[-1].start()

    yield run
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
