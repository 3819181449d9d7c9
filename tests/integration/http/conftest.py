"""A served Foldline, of the test's own or shared by those that only ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_postgres import Template, clone
from tests.integration.http.serving import Served, served_on


@pytest.fixture(scope="session")
def template(modelled: Template) -> Template:
    """Databases here have the tables of the read models already."""
    return modelled


@pytest.fixture
def served(database: str) -> Iterator[Served]:
    with served_on(database) as served:
        yield served


@pytest.fixture(scope="session")
def asked(template: Template) -> Iterator[Served]:
    """For tests that leave nothing behind."""
    with clone(template) as dsn, served_on(dsn) as served:
        yield served
