"""A Foldline that serves while the commands of a page are run, and the shell that runs them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fix_postgres import Template, clone
from tests.pages import ROOT, Serve, Shell
from tests.serving import Server

KINDS = ("write", "read", "admin")

START_SECONDS = 90.0
"""A copy of the code has no bytecode yet, and each file is compiled first."""


@pytest.fixture(scope="module")
def serve(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Serve a database of its own with the code of a folder; gives the shell to try it in."""
    with ExitStack() as stack:

        def serves(code: Path = ROOT, **settings: str) -> Shell:
            folder = tmp_path_factory.mktemp("page")
            dsn = stack.enter_context(clone(template))
            command = (sys.executable, "-P", "-m", "interfaces.cli.main")
            environment = {"PYTHONPATH": str(code), **settings}
            server = Server.on(folder, dsn, command=command, environment=environment)
            stack.callback(server.stop)
            server.launch()
            server.wait_ready(START_SECONDS)
            keys = {
                f"{kind.upper()}_KEY": re.search(rf"cdp_live_{kind}_[\w-]+", server.output())[0]
                for kind in KINDS
            }
            return Shell(folder / "shell", code=code, URL=server.url, FOLDLINE_DSN=dsn, **keys)

        yield serves
