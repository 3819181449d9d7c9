"""Cost of a write key that links 20,000 identifiers with one user, for others as well."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import ApiKeys
from application.ledger.tables.workspaces import Workspaces
from tests.benchmarks.database import Database
from tests.benchmarks.report import hold
from tests.benchmarks.scale import scaled
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile
from tests.serving import Client, basic, bearer

pytestmark = pytest.mark.benchmark

BATCH = 1_000
BATCHES = scaled(20)
LAG_SECONDS, GROWTH_MB, SLOWDOWN = 10.0, 200.0, 2.0
SETTLED_SECONDS = 8.0
"""Seconds in which the undisturbed workspace is observed."""

SEGMENT = {"name": "m", "condition": {"event": "M", "count": {"at_least": 3}}}


@contextmanager
def observed(port: int, write_key: str, read_key: str) -> Iterator[Callable[[], list[float]]]:
    """Yields a function that returns the latencies in milliseconds since its last call."""
    stop, latencies = threading.Event(), list[float]()

    def observe() -> None:
        for number in count():
            message = {"event": "P", "userId": f"p-{number}", "messageId": f"p-{number}"}
            body, started = json.dumps(message).encode(), time.monotonic()
            position = client.send("POST", "/v1/track", body, basic(write_key)).json["position"]
            target = f"/v1/events?profile=user_id:p-{number}&min_position={position}"
            while client.send("GET", target, headers=bearer(read_key)).status != 200:
                assert time.monotonic() < started + 120, "the event never became visible"
            latencies.append((time.monotonic() - started) * 1000)
            if stop.wait(0.1):
                return

    def taken() -> list[float]:
        found = [*latencies]
        latencies.clear()
        return found

    client = Client(port, timeout=120)
    thread = threading.Thread(target=observe)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()
        client.close()


def test_twenty_thousand_identifiers_hold_up_no_other_workspace(fresh, report, say):
    database = fresh()
    write_key, read_key, admin_key = _other_workspace(database)
    with serving(dsn=database.dsn) as server:
        client = Client(server.port, timeout=120)
        body = json.dumps(SEGMENT).encode()
        assert client.send("POST", "/v1/segments", body, bearer(admin_key)).status == 201
        with observed(server.port, write_key, read_key) as latencies:
            time.sleep(SETTLED_SECONDS)  # the length of the observation, not a wait
            undisturbed, memory = percentile(latencies(), 99), server.memory()
            _link(client, database)
            lag, grown = _catch_up(database, server.memory)
            disturbed = percentile(latencies(), 99)
        client.close()
    say(
        f"large_profile: lag {lag:.1f} s, {grown - memory:.0f} MB more, others p99 {disturbed:.0f} ms"
    )
    hold(
        *(
            report.rounds(f"large_profile_{name}", [pair], unit=unit, against=against, at_most=1)
            for name, unit, against, pair in (
                ("lag", "s", "the bar", (lag, LAG_SECONDS)),
                ("memory", "MB", "the bar", (grown - memory, GROWTH_MB)),
                ("others", "ms", "twice undisturbed", (disturbed, SLOWDOWN * undisturbed)),
            )
        )
    )


def _other_workspace(database: Database) -> tuple[str, str, str]:
    """Returns the keys to write and to read another workspace, and the admin key of the first."""
    store = LedgerDatastore(database.dsn)
    try:
        other, keys = Workspaces(store).create("other").id, ApiKeys(store)
        return (
            keys.create(other, "write").text,
            keys.create(other, "read").text,
            keys.create(database.workspace, "admin").text,
        )
    finally:
        store.close()


def _link(client: Client, database: Database) -> None:
    for start in range(0, BATCHES * BATCH, BATCH):
        batch = [
            {"type": "track", "event": "M", "userId": "mega", "anonymousId": f"a-{number}"}
            for number in range(start, start + BATCH)
        ]
        body = json.dumps({"batch": batch}).encode()
        assert client.send("POST", "/v1/batch", body, basic(database.write_key)).status == 200


def _catch_up(database: Database, memory: Callable[[], float]) -> tuple[float, float]:
    """Returns the seconds until all read models have the last event, and the most memory in MB."""
    started, samples = time.monotonic(), [memory()]
    database.wait_until_projected(300, lambda: samples.append(memory()))
    return time.monotonic() - started, max(samples)
