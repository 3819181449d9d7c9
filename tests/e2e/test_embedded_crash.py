"""The embedded database dies under the server: the server restarts it, with all its data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interfaces.embedded.postgres import EmbeddedPostgres
from tests import processes
from tests.fix_postgres import homes
from tests.serving import Server, basic, wait_until

MESSAGE = b'{"userId": "u-1", "event": "Viewed"}'


@pytest.fixture
def home() -> Iterator[Path]:
    # Not in pytest's folder: its path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="foldline-tests-", dir=homes()))
    yield folder
    shutil.rmtree(folder)


def test_an_embedded_database_that_dies_is_started_again(home: Path, tmp_path: Path) -> None:
    with Server(tmp_path, {"FOLDLINE_HOME": str(home)}) as server:
        key = server.output().split("write  ")[1].split()[0]
        assert server.ask("POST", "/v1/track", MESSAGE, basic(key)).status == 200
        postmaster = EmbeddedPostgres(home).cluster.postmaster()
        assert postmaster is not None
        processes.kill(processes.family(postmaster))

        def accepted() -> bool:
            return server.ask("POST", "/v1/track", MESSAGE, basic(key)).status == 200

        wait_until(accepted, 20, "the database is back")
