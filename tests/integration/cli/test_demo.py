"""`foldline demo`: loads sample data and prints working commands."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.cli.running import Serving

pytestmark = pytest.mark.storage


def test_the_demo_loads_once_and_its_keys_and_commands_work(
    foldline: Callable[..., CompletedProcess[str]], start: Callable[..., Serving], home: Path
) -> None:
    first = foldline("demo", "--no-serve", "--home", str(home), dsn="")
    assert first.returncode == 0, first.stderr
    loaded = int(
        re.search(r"([\d,]+) sample messages recorded, 0 were", first.stderr)[1].replace(",", "")
    )
    assert 7_000 < loaded < 9_000
    events = re.search(r"The ledger has ([\d,]+) events", first.stderr)[1].replace(",", "")
    listed = json.loads(
        foldline("workspaces", "list", "--json", "--home", str(home), dsn="").stdout
    )
    assert [row["head"] for row in listed["workspaces"] if row["name"] == "demo"] == [int(events)]
    assert not (home / "postgres" / "postmaster.pid").exists()

    demo = start("demo", "--port", "0", "--home", str(home))
    demo.url()
    assert f"{loaded:,} were there already" in demo.output
    answers = paste(demo.output)
    assert [next(iter(answer)) for answer in answers] == [
        "success",
        "id",
        "timeline",
        "segment",
        "steps",
        "triggers",
    ]
    _, profile, timeline, explained, funnel, runs = answers
    assert profile["identifiers"] == [
        {"kind": "user_id", "value": "ada"},
        {"kind": "user_id", "value": "ada-2019"},
    ]
    assert "vip" in profile["tags"]
    assert [it["id"] for it in profile["groups"]] == ["almeida-design"]
    assert [it["token"] for it in profile["devices"]] == ["demo-token-1"]
    assert profile["computed"]["engagement"] >= 40
    assert any(it["name"] == "product_viewed" for it in timeline["timeline"])
    assert explained["member"]
    assert [it["event"] for it in funnel["steps"]][-1] == "order_completed"
    assert {it["outcome"] for it in runs["triggers"]} >= {"waiting", "suppressed"}
    assert demo.stop() == 0
    assert "Traceback" not in demo.output
    assert not (home / "postgres" / "postmaster.pid").exists()


def paste(printed: str) -> list[dict[str, Any]]:
    """Run all `export` and `curl` lines at once, as pasted into a shell; return the answers."""
    lines = [it for it in printed.splitlines() if it.startswith(("export ", "curl "))]
    assert len([it for it in lines if it.startswith("curl ")]) == 6
    script = "\n".join(f"{it}\necho" if it.startswith("curl ") else it for it in lines)
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line]


def test_a_taken_port_does_not_stop_a_demo(
    foldline: Callable[..., CompletedProcess[str]], start: Callable[..., Serving], database: str
) -> None:
    server = start("serve", "--port", "0", FOLDLINE_DSN=database)
    taken = server.url().rpartition(":")[2]
    demo = start("demo", "--port", taken, FOLDLINE_DSN=database)
    assert demo.url().rpartition(":")[2] != taken
    assert demo.stop() == 0
