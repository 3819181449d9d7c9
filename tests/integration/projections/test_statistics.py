"""The planner knows young tables as soon as they have grown, live and aside."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from projections.profile.tables import search, state
from projections.rebuild import shadow_schema
from projections.rebuild.service import RebuildService
from projections.runtime import analyze
from tests.builders import tracked, user

YOUNG = 20


@pytest.fixture
def young(monkeypatch):
    monkeypatch.setattr(analyze, "ANALYZE_POSITIONS", (YOUNG,))


def rows_known(tx, schema: str, table: str = state.name) -> float:
    """What the planner takes the rows for; -1 if it never looked."""
    of = {"schema": schema, "table": table}
    return tx.execute(
        text(
            "SELECT reltuples FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE nspname = :schema AND relname = :table"
        ),
        of,
    ).scalar_one()


def profiles(first: int, last: int):
    return [tracked("Viewed", user(f"u-{it}")) for it in range(first, last)]


def test_live_tables_are_looked_at_when_they_have_grown(given, young):
    given.messages(*profiles(0, YOUNG - 1))
    with given.engine.connect() as tx:
        assert rows_known(tx, state.schema) == -1
    given.messages(*profiles(YOUNG - 1, YOUNG + 10))
    with given.engine.connect() as tx:
        assert rows_known(tx, state.schema) == YOUNG + 10


def test_a_table_that_is_known_is_left_to_the_server(given, young):
    given.messages(*profiles(0, 5))
    with given.engine.begin() as tx:
        tx.execute(text(f"ANALYZE {state}"))
    given.messages(*profiles(5, YOUNG + 10))
    with given.engine.connect() as tx:
        assert rows_known(tx, state.schema) == 5
        assert rows_known(tx, state.schema, search.name) == YOUNG + 10


def test_shadow_tables_are_analyzed_during_a_rebuild(given, young, monkeypatch):
    given.messages(*profiles(0, YOUNG + 10))
    seen = []
    analyze_tables = analyze.analyze_tables

    def recorded_analyze(tx, projection, **more):
        analyze_tables(tx, projection, **more)
        seen.append(rows_known(tx, shadow_schema.next_schema(projection.schema)))

    monkeypatch.setattr(analyze, "analyze_tables", recorded_analyze)
    monkeypatch.setattr(shadow_schema, "analyze_tables", recorded_analyze)
    lifecycle = RebuildService(given.projector)
    lifecycle.request(["profile"], "rebuild")
    assert lifecycle.run_builds("profile")
    assert seen == [0, YOUNG + 10]  # when its indexes are made, and when the few events came in


@pytest.mark.parametrize(
    ("after", "position", "due"),
    [(0, 19, False), (0, 20, True), (19, 20, True), (20, 40, False), (0, 4_000, True)],
)
def test_a_position_is_passed_once(given, young, after, position, due):
    feed = profiles(after, position)
    given.messages(*profiles(0, after)) if after else None
    history = given.messages(*feed)
    batch = given.projector.read_batch(1, after, len(history))
    assert analyze.should_analyze(batch) == due
