"""`foldline projections`: list, rebuild, verify and repair read models."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, CompletedProcess

import psutil
import psycopg
import pytest

from projections import PROJECTIONS
from projections.runtime.checkpoint import ERASURE_LOCK
from tests.fix_embedded import eventually
from tests.integration.cli.running import PATIENCE, ROOT, command, environment

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


@pytest.fixture
def shop(foldline: Foldline, tmp_path: Path) -> Foldline:
    file = tmp_path / "events.ndjson"
    messages = (
        {"type": "track", "event": "purchase", "userId": f"u-{number}"} for number in range(50)
    )
    file.write_text(
        "\n".join(json.dumps(message | {"messageId": message["userId"]}) for message in messages)
    )
    done = foldline("import", str(file))
    assert done.returncode == 0, done.stderr
    return foldline


def test_read_models_are_listed_rebuilt_and_verified(shop: Foldline) -> None:
    listed = json.loads(shop("projections", "list", "--json").stdout)["projections"]
    assert all(row["lag"] == 0 and row["build"] is None for row in listed)
    built = shop("projections", "rebuild", "timeline", "segments")
    assert (built.returncode, "rebuilt tables are live" in built.stderr) == (0, True), built.stderr
    built = shop("projections", "rebuild")
    assert (built.returncode, "rebuilt tables are live" in built.stderr) == (0, True), built.stderr
    listed = json.loads(shop("projections", "list", "--json").stdout)["projections"]
    assert {row["build"] for row in listed} == {"rebuild done, 50 of 50"}, "all, if none is named"
    same = shop("projections", "verify", "timeline", "--json")
    assert (same.returncode, json.loads(same.stdout)["timeline"]["same"]) == (0, True)
    assert "verify done, 50 of 50" in shop("projections", "list").stdout


def test_a_position_is_that_of_one_workspace(shop: Foldline, tmp_path: Path) -> None:
    assert shop("workspaces", "create", "other").returncode == 0
    file = tmp_path / "other.ndjson"
    file.write_text(json.dumps({"type": "track", "event": "e", "userId": "u", "messageId": "m"}))
    assert shop("import", str(file), "--workspace", "other").returncode == 0
    listed = json.loads(shop("projections", "list", "--json").stdout)["projections"]
    heads = json.loads(shop("workspaces", "list", "--json").stdout)["workspaces"]
    positions = {(row["workspace"], row["position"]) for row in listed}
    assert (
        positions
        == {(row["name"], row["head"]) for row in heads}
        == {("default", 50), ("other", 1)}
    )
    assert len(listed) == 2 * len(PROJECTIONS)


def test_a_damaged_read_model_is_detected_and_repaired(shop: Foldline, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "DELETE FROM read_profile_v3.state WHERE stream = "
            "(SELECT min(stream::text)::uuid FROM read_profile_v3.state)"
        )
    verified = shop("projections", "verify", "profile")
    assert (verified.returncode, "rebuild NAME" in verified.stderr) == (1, True)
    assert shop("projections", "rebuild", "profile").returncode == 0
    assert shop("projections", "verify", "profile").returncode == 0


def test_an_impossible_command_is_reported(shop: Foldline) -> None:
    refused = shop("projections", "rebuild", "nope")
    assert (refused.returncode, "unknown read model 'nope'; use one of" in refused.stderr) == (
        1,
        True,
    )
    assert "No build of profile is running" in shop("projections", "cancel", "profile").stderr


@pytest.mark.parametrize(
    "stop", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.nightly)]
)
def test_a_stopped_or_killed_rebuild_ends_its_processes_and_the_next_one_resumes(
    shop: Foldline, database: str, stop: signal.Signals
) -> None:
    rebuild = ("projections", "rebuild", "timeline", "profile")
    with (
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as observer,
    ):
        holder.execute(_HOLD_ERASURE_LOCK)  # no batch can be applied while this lock is held
        process = subprocess.Popen(
            command(*rebuild), cwd=ROOT, env=environment(FOLDLINE_DSN=database), stderr=PIPE
        )
        assert eventually(lambda: observer.execute(_COUNT_LEASES).fetchall() == [(2,)], PATIENCE)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(stop)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == (130 if stop is signal.SIGINT else -stop)
        psutil.wait_procs(children, timeout=PATIENCE)
        assert not [child for child in children if child.is_running()]
        assert observer.execute(_COUNT_LEASES).fetchall() == [(0,)], (
            "the leases are released, not left to expire"
        )
    done = shop(*rebuild)
    assert done.returncode == 0, done.stderr


_HOLD_ERASURE_LOCK = f"SELECT pg_advisory_xact_lock({ERASURE_LOCK}, id) FROM ledger.workspace"
_COUNT_LEASES = (
    "SELECT count(*) FROM projections.build WHERE state = 'running' AND leased_until > now()"
)
