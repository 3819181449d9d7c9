"""The page on SDKs: each example, with the real SDK, leads to the profile that it shows."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.pages import Page, Serve, Shell

PAGE = Page("howto/send-from-sdks.md")
NODE_EXAMPLES = [it.file for it in PAGE.of("js")]

CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
)


@pytest.fixture(scope="module")
def shell(serve: Serve) -> Shell:
    """One server for all SDKs: what each has sent is told by the ledger's head."""
    return serve()


def test_the_python_example_arrives(shell: Shell):
    (shell.folder / "send.py").write_text(PAGE.file("send.py"))
    before = _head(shell)
    shell.run("python send.py")
    _check_arrived(shell, before)


@pytest.mark.parametrize("name", NODE_EXAMPLES)
def test_a_node_example_arrives(shell: Shell, node: Path, name: str):
    script = shell.folder / name
    script.write_text(PAGE.file(name))
    with suppress(FileExistsError):
        (shell.folder / "node_modules").symlink_to(node / "node_modules")
    before = _head(shell)
    shell.run(f"node {name}")
    _check_arrived(shell, before)


def test_the_page_for_browsers_arrives(shell: Shell, node: Path):
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    site = shell.folder / "site"
    bundles = node / "node_modules/@segment/analytics-next/dist/umd"
    shutil.copytree(bundles, site / "analytics-next" / "bundles")
    (site / "index.html").write_text(_filled(PAGE.file("index.html"), shell))
    before = _head(shell)
    with _served(site) as url:
        profile = f"--user-data-dir={shell.folder / 'chromium'}"
        subprocess.run(
            [*CHROMIUM, profile, "--dump-dom", f"{url}/index.html"],
            check=True,
            capture_output=True,
            timeout=120,
        )
    _check_arrived(shell, before, links=1)


def _head(shell: Shell) -> int:
    status = shell.run('curl -s "$URL/v1/status" -H "Authorization: Bearer $READ_KEY"')
    return int(json.loads(status)["head"])


def _check_arrived(shell: Shell, before: int, *, links: int = 0) -> None:
    """Check that an identify and a track call were recorded, and that the profile is the page's."""
    assert _head(shell) - before == 2 + links
    assert shell.follow(PAGE) == 1


def _filled(text: str, shell: Shell) -> str:
    for name in ("URL", "WRITE_KEY"):
        text = text.replace(f"${name}", shell.environment[name])
    return text


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve files on a port of their own, as another origin than Foldline's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
