"""Read models on a database of their own, fed from a list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

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
