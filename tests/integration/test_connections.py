"""Connections that the server has closed are replaced before a statement uses them."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text

from interfaces.bootstrap import create_projection_engine
from interfaces.query_connections import create_query_engine

CLOSE = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'foldline%'"
)


@pytest.mark.parametrize("create", [create_query_engine, create_projection_engine])
def test_the_first_statement_after_a_restart_does_not_fail(database, create) -> None:
    engine = create(database)
    try:
        for _ in range(2):
            with engine.connect() as tx:
                assert tx.execute(text("SELECT 1")).scalar() == 1
            with psycopg.connect(database, autocommit=True) as other:
                assert other.execute(CLOSE).fetchall() == [(True,)]
    finally:
        engine.dispose()
