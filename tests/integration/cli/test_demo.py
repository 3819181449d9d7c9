"""`foldline demo`, from nothing to answers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.integration.cli.running import Serving, client

pytestmark = pytest.mark.storage


def test_the_demo_loads_once_and_its_keys_and_commands_work(
    foldline: Callable[..., CompletedProcess[str]], start: Callable[..., Serving], home: Path
) -> None:
    first = foldline("demo", "--no-serve", "--home", str(home), dsn="")
    assert first.returncode == 0, first.stderr
    loaded = int(
        re.search(r"([\d,]+) sample events recorded, 0 were", first.stderr)[1].replace(",", "")
    )
    assert 7_000 < loaded < 9_000
    assert not (home / "postgres" / "postmaster.pid").exists()

    demo = start("demo", "--port", "0", "--home", str(home))
    url = demo.url()
    assert f"{loaded:,} were there already" in demo.said
    with client(url, demo.key("read")) as http:
        head = http.get("/v1/status").json()["head"]
        bought = {"name": "order_completed", "where": "properties.items[].type=monitor"}
        assert http.get("/v1/events", params=bought).json()["events"]
        assert http.get("/docs").status_code == 200
    curl = next(line for line in demo.said.splitlines() if "/v1/track" in line)
    sent = subprocess.run(curl.strip(), shell=True, capture_output=True, timeout=30, check=True)
    assert b'"success":true' in sent.stdout
    with client(url, demo.key("read")) as http:
        asked = {"name": "Hello", "min_position": head + 1}
        assert len(http.get("/v1/events", params=asked).json()["events"]) == 1
    assert demo.stop() == 0
    assert "Traceback" not in demo.said
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_a_taken_port_does_not_stop_a_demo(
    foldline: Callable[..., CompletedProcess[str]], start: Callable[..., Serving], database: str
) -> None:
    server = start("serve", "--port", "0", FOLDLINE_DSN=database)
    taken = server.url().rpartition(":")[2]
    demo = start("demo", "--port", taken, FOLDLINE_DSN=database)
    assert demo.url().rpartition(":")[2] != taken
    assert demo.stop() == 0
