"""`foldline projections`: listed, rebuilt, verified; and what a damaged read model looks like."""

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

from projections.runtime.checkpoint import ERASURE_LOCK
from tests.fix_embedded import eventually
from tests.integration.cli.running import PATIENCE, ROOT, command, environment

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


@pytest.fixture
def shop(foldline: Foldline, tmp_path: Path) -> Foldline:
    file = tmp_path / "events.ndjson"
    lines = ({"type": "track", "event": "purchase", "userId": f"u-{it}"} for it in range(50))
    file.write_text("\n".join(json.dumps(it | {"messageId": it["userId"]}) for it in lines))
    done = foldline("import", str(file))
    assert done.returncode == 0, done.stderr
    return foldline


def test_read_models_are_listed_rebuilt_and_verified(shop: Foldline) -> None:
    listed = json.loads(shop("projections", "list", "--json").stdout)["projections"]
    assert all(it["lag"] == 0 and it["build"] is None for it in listed)
    built = shop("projections", "rebuild", "timeline", "segments")
    assert (built.returncode, "new tables answer" in built.stderr) == (0, True), built.stderr
    built = shop("projections", "rebuild")
    assert (built.returncode, "new tables answer" in built.stderr) == (0, True), built.stderr
    listed = json.loads(shop("projections", "list", "--json").stdout)["projections"]
    assert {it["build"] for it in listed} == {"rebuild done, 50 of 50"}, "all, if none is named"
    same = shop("projections", "verify", "timeline", "--json")
    assert (same.returncode, json.loads(same.stdout)["timeline"]["same"]) == (0, True)
    assert "verify done, 50 of 50" in shop("projections", "list").stdout


def test_a_damaged_read_model_is_found_out_and_mended(shop: Foldline, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "DELETE FROM read_profile_v2.state WHERE stream = "
            "(SELECT min(stream::text)::uuid FROM read_profile_v2.state)"
        )
    found = shop("projections", "verify", "profile")
    assert (found.returncode, "rebuild NAME" in found.stderr) == (1, True)
    assert shop("projections", "rebuild", "profile").returncode == 0
    assert shop("projections", "verify", "profile").returncode == 0


def test_what_cannot_be_done_is_told(shop: Foldline) -> None:
    refused = shop("projections", "rebuild", "nope")
    assert (refused.returncode, "there is no read model 'nope'; there are" in refused.stderr) == (
        1,
        True,
    )
    assert "No build of profile was under way" in shop("projections", "cancel", "profile").stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_stopped_or_killed_it_takes_its_processes_along_and_the_next_goes_on(
    shop: Foldline, database: str, stop: signal.Signals
) -> None:
    rebuild = ("projections", "rebuild", "timeline", "profile")
    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as asked:
        holder.execute(_ERASE)  # no batch can be taken meanwhile
        process = subprocess.Popen(
            command(*rebuild), cwd=ROOT, env=environment(FOLDLINE_DSN=database), stderr=PIPE
        )
        assert eventually(lambda: asked.execute(_HELD).fetchall() == [(2,)], PATIENCE)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(stop)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == (130 if stop is signal.SIGINT else -stop)
        psutil.wait_procs(family, timeout=PATIENCE)
        assert not [it for it in family if it.is_running()]
        assert asked.execute(_HELD).fetchall() == [(0,)], "others need not wait for them to lapse"
    done = shop(*rebuild)
    assert done.returncode == 0, done.stderr


_ERASE = f"SELECT pg_advisory_xact_lock({ERASURE_LOCK}, id) FROM ledger.workspace"
_HELD = "SELECT count(*) FROM projections.build WHERE state = 'running' AND leased_until > now()"
