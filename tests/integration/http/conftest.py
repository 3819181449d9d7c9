"""Fixtures of a served Foldline: one per test, or one shared by read-only tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_postgres import Template, clone
from tests.integration.http.serving import Served, served_on


@pytest.fixture(scope="session")
def template(modelled: Template) -> Template:
    """Use databases that have the read-model tables already."""
    return modelled


@pytest.fixture
def served(database: str) -> Iterator[Served]:
    with served_on(database) as served:
        yield served


@pytest.fixture(scope="session")
def shared(template: Template) -> Iterator[Served]:
    """Share one server among tests that record nothing."""
    with clone(template) as dsn, served_on(dsn) as served:
        yield served
