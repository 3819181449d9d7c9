"""PostgreSQL or its connections die: nothing acknowledged is lost, and all recovers."""

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
from tests.e2e.load import Load, ObservedAnswer
from tests.e2e.tenants import Tenant, more_keys, query, tenant
from tests.serving import Server, basic, bearer, wait_until

pytestmark = pytest.mark.storage

RECOVERY_SECONDS = 60.0
"""Measured: 0.4 s where nothing else runs; the limit only rules out ever longer waits."""

REFUSED_SECONDS = 5.0
"""A writer retries for a second before it refuses, and a connection may take another."""

AMBIGUOUS = 60

_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'foldline%%'
"""
_MESSAGE = b'{"userId": "u-1", "event": "Viewed"}'


@pytest.mark.parametrize(
    "crashes",
    [
        [("kill", 2.5)],
        # The last outage is long: a client that waits longer after each failure would recover late.
        pytest.param(
            [("kill", 2.5), ("kill_postmaster", 2.5), ("kill", 8.0)],
            marks=pytest.mark.nightly,
        ),
    ],
    ids=len,
)
def test_a_killed_postgres_has_lost_nothing_and_the_server_heals(
    cluster: Cluster, tmp_path: Path, crashes: list[tuple[str, float]]
) -> None:
    with Server.on(tmp_path, cluster.dsn) as server:
        shop, history = tenant(server, cluster.dsn, "crashed"), History()
        recovered, answers_while_down = [], []
        with Load(server, shop.write, history, abandon=0.05) as load:
            for crash, seconds in crashes:
                wait_until(_served(load, len(load.answers)), 10, "writes are accepted")
                mark = len(load.answers)
                getattr(cluster, crash)()
                time.sleep(seconds)  # the length of the outage
                assert server.ask("GET", "/healthz/live").status == 200
                assert server.ask("GET", "/healthz/ready").status == 503
                answers_while_down += load.since(mark)
                cluster.start()
                before = shop.positions()
                recovered.append(
                    wait_until(_served(load, len(load.answers)), RECOVERY_SECONDS, "writes again")
                )
            projecting = wait_until(
                lambda: _moved(shop, before), RECOVERY_SECONDS, "every read model moves again"
            )
            cluster.kill_session()  # PostgreSQL recovers from that without help
            time.sleep(0.5)
            recovered.append(
                wait_until(_served(load, len(load.answers)), RECOVERY_SECONDS, "writes again")
            )
        report = check(cluster.dsn, shop.workspace, history)
        unavailable = [answer for answer in answers_while_down if answer.status == 503]
        slowest = max(answer.seconds for answer in unavailable)
        print(f"PostgreSQL killed: {report.sentence}")
        print(
            f"503 after at most {slowest:.2f} s; after the restart: writes in {max(recovered):.2f} s"
        )
        print(f"at most, read models {projecting:.2f} s later; answers {load.statuses}")
        assert not list(report.problems())
        assert history.count("fail") == 0
        _check_only_accepted_or_unavailable(load.answers)
        assert len(unavailable) > 3
        assert slowest < REFUSED_SECONDS


def test_a_lost_connection_is_never_a_server_error(shop: Tenant) -> None:
    statuses: Counter[tuple[str, int]] = Counter()

    def read(_: int) -> int:
        return shop.server.ask("GET", "/v1/rejected", headers=bearer(shop.read)).status

    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:  # opens several connections that can be lost
            statuses.update(("read", status) for status in pool.map(read, range(16)))
        fresh = more_keys(shop)  # not cached, so that they take a query
        query(shop.dsn, _END_SESSIONS)
        answers = {
            "write": shop.server.ask("POST", "/v1/track", _MESSAGE, basic(fresh["write"])),
            "read": shop.server.ask("GET", "/v1/events", headers=bearer(fresh["read"])),
            "events": shop.server.ask("GET", "/v1/events", headers=bearer(shop.read)),
            "rejected": shop.server.ask("GET", "/v1/rejected", headers=bearer(fresh["read"])),
        }
        for request, answer in answers.items():
            statuses[request, answer.status] += 1
            if answer.status == 503:
                assert answer.json["code"] == "ledger_unavailable", (request, answer)
                assert "retry-after" in answer.headers
    print(f"connections lost: {dict(statuses)}")
    assert {status for _, status in statuses} <= {200, 503}, statuses
    wait_until(lambda: _is_healthy(shop), RECOVERY_SECONDS, "every request succeeds again")


def test_every_acknowledged_batch_was_flushed_to_disk_first(shop: Tenant) -> None:
    before, batches = _flushes(shop), 50
    for _ in range(batches):
        assert shop.post("/v1/track", _MESSAGE).status == 200
    # A session reports its statistics only once a second.
    wait_until(lambda: _flushes(shop) - before >= batches, 5, "each batch was flushed")


def test_a_commit_of_unknown_outcome_is_resolved_by_the_ledger(
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
        _check_only_accepted_or_unavailable(load.answers)


def _check_only_accepted_or_unavailable(answers: list[ObservedAnswer]) -> None:
    assert {answer.status for answer in answers} <= {200, 503}
    assert all(answer.retry_after is not None for answer in answers if answer.status == 503)


def _is_healthy(shop: Tenant) -> bool:
    """Return whether three requests of each kind in a row succeed."""
    paths = ("/v1/events", "/v1/rejected", "/v1/status") * 3
    statuses = {shop.server.ask("GET", path, headers=bearer(shop.read)).status for path in paths}
    return statuses == {200} and shop.post("/v1/track", _MESSAGE).status == 200


def _flushes(shop: Tenant) -> int:
    """Number of flushes of the write-ahead log to disk, as the database counts them."""
    (version,) = query(shop.dsn, "SELECT current_setting('server_version_num')::int")
    sql = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
    if version[0] < 180_000:
        sql = "SELECT wal_sync FROM pg_stat_wal"
    return int(query(shop.dsn, sql)[0][0])


def _moved(shop: Tenant, before: dict[str, int]) -> bool:
    now = shop.positions()
    return all(now[name] > position for name, position in before.items())


def _served(load: Load, mark: int) -> Callable[[], bool]:
    return lambda: any(answer.status == 200 for answer in load.since(mark))
