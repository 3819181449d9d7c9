"""Migrations run once for all callers; the service's role has only the needed privileges."""

from __future__ import annotations

import subprocess
import sys
from uuid import uuid4

import psycopg
import pytest

from application.ledger.migrate import pending_revisions
from tests.fix_ledger import Bench
from tests.fix_postgres import database_dsn

pytestmark = pytest.mark.storage


def test_several_deployers_do_not_collide(postgres_dsn: str) -> None:
    name = f"foldline_fresh_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        fresh = database_dsn(postgres_dsn, name)
        try:
            assert pending_revisions(fresh)[0] == "0001"
            command = (
                "import sys; from application.ledger.migrate import migrate; migrate(sys.argv[1])"
            )
            deployers = [subprocess.Popen([sys.executable, "-c", command, fresh]) for _ in range(4)]
            assert [deployer.wait(60) for deployer in deployers] == [0] * 4
            assert pending_revisions(fresh) == ()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_service_may_only_add_and_read_events(bench: Bench) -> None:
    privileges = bench.sql(
        "SELECT privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'foldline_service' AND table_schema = 'ledger' AND table_name = 'event'"
    )
    assert {privilege for (privilege,) in privileges} == {"SELECT", "INSERT"}
    with bench.store.raw_connection() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("foldline_service",)


def test_the_library_never_runs_in_the_mode_that_loses_events(bench: Bench) -> None:
    assert bench.store.enable_db_functions is False
    functions = bench.sql("SELECT proname FROM pg_proc WHERE proname LIKE 'es_insert%%'")
    assert functions == []
