"""PostgreSQL dies, or the way to it: nothing acknowledged is lost, clients are told to come back, and it heals."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.checker import History, check
from tests.e2e.conftest import Cluster
from tests.e2e.faults import CUTS, CommitCutter
from tests.e2e.load import Load, Told
from tests.e2e.tenants import Tenant, another_keys, query, tenant
from tests.serving import Server, basic, bearer, wait_until

pytestmark = pytest.mark.storage

HEALED_SECONDS = 60.0
"""Measured: 0.4 s where nothing else runs; the limit tells healing from waiting ever longer."""

REFUSED_SECONDS = 5.0
"""A writer is patient for a second in case the trouble passes, and a connection may take another."""

AMBIGUOUS = 60

_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'foldline%%'
"""
_MESSAGE = b'{"userId": "u-1", "event": "Viewed"}'


def test_a_killed_postgres_has_lost_nothing_and_the_server_heals(
    cluster: Cluster, tmp_path: Path
) -> None:
    # The last one stays away for long: whoever waits longer after each failure comes back late.
    crashes = ((cluster.kill, 2.5), (cluster.kill_postmaster, 2.5), (cluster.kill, 8.0))
    with Server.on(tmp_path, cluster.dsn) as server:
        shop, history = tenant(server, cluster.dsn, "crashed"), History()
        healed, down = [], []
        with Load(server, shop.write, history, abandon=0.05) as load:
            for crash, seconds in crashes:
                wait_until(_served(load, len(load.told)), 10, "writes are taken")
                mark = len(load.told)
                crash()
                time.sleep(seconds)  # how long it is away
                assert server.ask("GET", "/healthz/live").status == 200
                assert server.ask("GET", "/healthz/ready").status == 503
                down += load.since(mark)
                cluster.start()
                stood = shop.positions()
                healed.append(
                    wait_until(_served(load, len(load.told)), HEALED_SECONDS, "writes again")
                )
            projecting = wait_until(
                lambda: _moved(shop, stood), HEALED_SECONDS, "every read model moves again"
            )
            cluster.kill_session()  # PostgreSQL recovers from that by itself
            time.sleep(0.5)
            healed.append(wait_until(_served(load, len(load.told)), HEALED_SECONDS, "writes again"))
        report = check(cluster.dsn, shop.workspace, history)
        slowest = max(it.seconds for it in down if it.status == 503)
        print(f"PostgreSQL killed: {report.sentence}")
        print(
            f"503 after {slowest:.2f} s at most; once it was back: writes after {max(healed):.2f} s"
        )
        print(f"at most, read models after {projecting:.2f} s more; answers {load.statuses}")
        assert not list(report.problems())
        assert history.count("fail") == 0
        _only_taken_or_asked_to_come_back(load.told)
        assert sum(it.status == 503 for it in down) > 3
        assert slowest < REFUSED_SECONDS


def test_a_lost_connection_is_never_a_fault_of_the_server(shop: Tenant) -> None:
    told: Counter[tuple[str, int]] = Counter()

    def look(_: int) -> int:
        return shop.server.ask("GET", "/v1/rejected", headers=bearer(shop.read)).status

    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:  # so that there are several connections to lose
            told.update(("look", status) for status in pool.map(look, range(16)))
        fresh = another_keys(shop)  # never seen, so that it has to be looked up
        query(shop.dsn, _END_SESSIONS)
        answers = {
            "write": shop.server.ask("POST", "/v1/track", _MESSAGE, basic(fresh["write"])),
            "read": shop.server.ask("GET", "/v1/events", headers=bearer(fresh["read"])),
            "events": shop.server.ask("GET", "/v1/events", headers=bearer(shop.read)),
            "rejected": shop.server.ask("GET", "/v1/rejected", headers=bearer(fresh["read"])),
        }
        for what, answer in answers.items():
            told[what, answer.status] += 1
            if answer.status == 503:
                assert answer.json["code"] == "ledger_unavailable", (what, answer)
                assert "retry-after" in answer.headers
    print(f"connections lost: {dict(told)}")
    assert {status for _, status in told} <= {200, 503}, told
    wait_until(lambda: _well(shop), HEALED_SECONDS, "all is well again")


def test_every_acknowledged_batch_was_flushed_to_disk_first(shop: Tenant) -> None:
    before, batches = _flushes(shop), 50
    for _ in range(batches):
        assert shop.post("/v1/track", _MESSAGE).status == 200
    # A session reports what it did only once a second.
    wait_until(lambda: _flushes(shop) - before >= batches, 5, "each batch was flushed")


def test_a_commit_of_unknown_fate_is_settled_by_what_is_there(
    database: str, tmp_path: Path
) -> None:
    cutter = CommitCutter(database, probability=0.4, seed=1)
    with cutter, Server.on(tmp_path, cutter.dsn) as server:
        shop, history = tenant(server, database, "cut off"), History()
        with Load(server, shop.write, history, clients=2, largest=20) as load:
            wait_until(lambda: cutter.ambiguous >= AMBIGUOUS, 60, "commits are cut off")
            cutter.probability = 0.0
        report = check(database, shop.workspace, history)
        print(f"{cutter.ambiguous} of {cutter.commits} commits cut off: {report.sentence}")
        print(f"{dict(cutter.cuts)}, answered {dict(load.statuses)}")
        assert not list(report.problems())
        assert history.count("fail") == 0
        assert set(cutter.cuts) == set(CUTS)
        _only_taken_or_asked_to_come_back(load.told)


def _only_taken_or_asked_to_come_back(told: list[Told]) -> None:
    assert {it.status for it in told} <= {200, 503}
    assert all(it.retry_after is not None for it in told if it.status == 503)


def _well(shop: Tenant) -> bool:
    """Say whether a few requests of each kind in a row are answered as if nothing had been."""
    asked = [("GET", "/v1/events"), ("GET", "/v1/rejected"), ("GET", "/v1/status")] * 3
    told = {shop.server.ask(*it, headers=bearer(shop.read)).status for it in asked}
    return told == {200} and shop.post("/v1/track", _MESSAGE).status == 200


def _flushes(shop: Tenant) -> int:
    """How often the write-ahead log was flushed to disk, by the database's own count."""
    (version,) = query(shop.dsn, "SELECT current_setting('server_version_num')::int")
    sql = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
    if version[0] < 180_000:
        sql = "SELECT wal_sync FROM pg_stat_wal"
    return int(query(shop.dsn, sql)[0][0])


def _moved(shop: Tenant, stood: dict[str, int]) -> bool:
    now = shop.positions()
    return all(now[name] > position for name, position in stood.items())


def _served(load: Load, mark: int) -> Callable[[], bool]:
    return lambda: any(it.status == 200 for it in load.since(mark))
