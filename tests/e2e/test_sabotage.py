"""Tests of the crash tests: with a protection removed they must find the damage."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from tests.checker import History, Report, check
from tests.e2e import sabotage
from tests.e2e.conftest import Cluster
from tests.e2e.load import Load
from tests.e2e.tenants import query, tenant
from tests.serving import Server, wait_until

pytestmark = pytest.mark.storage

CHANCES = 10
"""Number of crashes at random moments after which the damage must have shown."""


def sabotaged(folder: Path, dsn: str, name: str) -> Server:
    return Server.on(folder, dsn, command=(sys.executable, sabotage.__file__, name))


@pytest.mark.nightly
@pytest.mark.parametrize("protection", ["ack_before_commit", "dedup_outside_the_transaction"])
def test_a_killed_server_without_it_loses_messages(
    database: str, tmp_path: Path, protection: str
) -> None:
    server, chance, report = sabotaged(tmp_path, database, protection), random.Random(1), Report()
    server.start()
    try:
        for attempt in range(CHANCES):
            shop, history = tenant(server, database, f"attempt {attempt}"), History()
            with Load(server, shop.write, history, abandon=0.0, seed=attempt):
                time.sleep(chance.uniform(0.2, 0.5))  # the moment of the kill, not a wait
                server.kill()
                server.start()
            report = check(database, shop.workspace, history)
            if report.lost:
                break
    finally:
        server.kill()
    assert report.lost, "the check is blind"


@pytest.mark.nightly
def test_a_killed_postgres_that_answers_before_it_writes_loses_messages(
    cluster: Cluster, tmp_path: Path
) -> None:
    query(cluster.dsn, "ALTER SYSTEM SET synchronous_commit = off")
    query(cluster.dsn, "ALTER SYSTEM SET wal_writer_delay = '1s'")
    query(cluster.dsn, "SELECT pg_reload_conf()")
    safe, report = f"{cluster.dsn}&options=-csynchronous_commit%3Don", Report()
    with sabotaged(tmp_path, cluster.dsn, "no_settings_gate") as server:
        for attempt in range(CHANCES):
            shop, history = tenant(server, safe, f"attempt {attempt}"), History()
            with Load(server, shop.write, history, clients=2, abandon=1.0, seed=attempt) as load:
                wait_until(lambda load=load: load.statuses[200] > 50, 20, "writes are accepted")
                cluster.kill()
                cluster.start()
                load.give_up()
            report = check(cluster.dsn, shop.workspace, history)
            if report.lost:
                break
    assert report.lost, "the check is blind"


def test_foldline_does_not_serve_on_an_unsafe_database(database: str, tmp_path: Path) -> None:
    name = query(database, "SELECT current_database()")[0][0]
    query(database, f"ALTER DATABASE {name} SET synchronous_commit = off")
    server = Server.on(tmp_path, database)
    server.launch()
    assert server.process is not None
    assert server.process.wait(30) == 1
    assert "synchronous_commit is off" in server.output()
    assert "Traceback" not in server.output()
    server.kill()
