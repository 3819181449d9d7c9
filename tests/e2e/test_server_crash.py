"""The server is killed repeatedly at random moments: what it acknowledged is recorded once."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from statistics import median

import pytest

from tests.checker import History, check
from tests.e2e.load import Load
from tests.e2e.tenants import tenant
from tests.serving import Server

pytestmark = pytest.mark.storage

CYCLES = int(os.environ.get("E2E_CYCLES", "20"))


@pytest.mark.parametrize("cycles", [1, pytest.param(CYCLES, marks=pytest.mark.nightly)])
def test_a_killed_server_has_lost_and_duplicated_nothing(
    database: str, tmp_path: Path, cycles: int
) -> None:
    server, history, chance = Server.on(tmp_path, database), History(), random.Random(cycles)
    shop = tenant(server, database)
    server.start()
    try:
        with Load(server, shop.write, history) as load:
            for _ in range(cycles):
                time.sleep(chance.uniform(0.1, 1.0))  # the moment of the kill, not a wait
                server.kill()
                server.start()
        report = check(database, shop.workspace, history)
        listed = {event["message_id"] for event in shop.events()}
    finally:
        server.kill()
    print(f"{cycles} kills: {report.sentence}; {load.unanswered} requests cut off")
    print(f"ready in {median(server.started_in):.2f} s, at most {max(server.started_in):.2f} s")
    assert not list(report.problems())
    assert set(load.statuses) == {200}
    assert history.count("fail") == 0
    assert load.unanswered >= cycles, "kills that hit no request prove nothing"
    acknowledged = {id_ for id_, message in history.sent.items() if message.outcome == "ok"}
    assert acknowledged <= listed, "the read model has them too"
