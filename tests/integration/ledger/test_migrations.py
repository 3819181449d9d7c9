"""Migrations run once for all callers; the service's role has only the needed privileges."""

from __future__ import annotations

import importlib
import subprocess
import sys
from uuid import uuid4

import psycopg
import pytest

from application.definitions.ledger_definitions import topics_of
from application.ledger.migrate import pending_revisions
from application.ledger.tables import definitions as definition_table
from application.ledger.tables.outbound_revisions import load_revisions
from domain.delivery.outbound import EndpointDefinition, decode_endpoint
from domain.funnels.saved_funnel import SavedFunnel
from domain.rules.rule import Rule
from domain.segments.computed_attribute import ComputedAttribute
from domain.segments.segment import Segment
from tests.fix_ledger import Bench
from tests.fix_postgres import database_dsn

pytestmark = pytest.mark.storage

revision_0008 = importlib.import_module("application.ledger.migrations.versions.0008_definitions")


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


def test_endpoints_and_subscriptions_of_earlier_versions_get_a_revision(bench: Bench) -> None:
    """Undo what the migration did to a row, and let its statements run again."""
    bench.sql(
        "INSERT INTO ledger.endpoint (workspace, id, url, description, concurrency, secret, created_at)"
        " VALUES (%s, 'crm', 'https://example.com/', 'ä', 2, '', now())",
        bench.workspace,
    )
    bench.sql(
        "INSERT INTO ledger.outbound_stream VALUES (%s, 'all', 3, %s, 0, now())",
        bench.workspace,
        b'{"endpoint":"crm"}',
    )
    *_, endpoints, subscriptions, _ = revision_0008.TABLES.split(";")
    bench.sql(endpoints)
    bench.sql(subscriptions)
    with bench.store.raw_connection() as connection:
        [crm] = load_revisions(connection, bench.workspace, "endpoint")
        [all_] = load_revisions(connection, bench.workspace, "subscription")
    assert crm.document is not None
    assert decode_endpoint(crm.document) == EndpointDefinition("https://example.com/", "ä", 2)
    assert (crm.id, crm.version, all_.id, all_.version) == ("crm", 1, "all", 3)
    assert all_.document == b'{"endpoint":"crm"}'


def test_definitions_are_found_by_their_index(bench: Bench) -> None:
    """A scan of all events would read the whole ledger for each command."""
    for kind in (Segment, Rule, SavedFunnel, ComputedAttribute):
        topics = ", ".join(f"'{topic}'" for topic in topics_of(kind))
        query = definition_table.DEFINITION_EVENTS.format(topics=topics)
        with bench.store.raw_connection() as connection:
            connection.execute("SET enable_seqscan = off")
            plan = connection.execute(f"EXPLAIN {query}", (1,)).fetchall()
        assert "definition_decided" in repr(plan)


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
