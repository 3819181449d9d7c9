"""Pages on lists, profiles and webhooks: their commands, in order, answer as written."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.pages import Page, Serve, Shell
from tests.serving import free_port

WEBHOOKS = Page("howto/send-webhooks.md")
START_SECONDS = 20


@pytest.mark.parametrize("name", ["keep-manual-lists", "merge-and-erase"])
def test_the_answers_are_those_of_the_page(serve: Serve, name: str) -> None:
    page = Page(f"howto/{name}.md")
    assert serve().follow(page) == len(page.of("json"))


def test_webhooks_arrive_at_the_receiver_of_the_page(serve: Serve) -> None:
    key = b64encode(os.urandom(32)).decode()
    shell = serve(FOLDLINE_SECRET_KEY=key, FOLDLINE_WEBHOOK_ALLOW="127.0.0.1/32")
    port = free_port()
    shell.environment["HOOK_URL"] = f"http://127.0.0.1:{port}/hooks"
    (shell.folder / "receive.py").write_text(WEBHOOKS.file("receive.py"))
    with _receiver(shell, port):
        assert shell.follow(WEBHOOKS) == len(WEBHOOKS.of("json"))
    received = (shell.folder / "received.log").read_text()
    assert '{"text":"Ann bought for 120.5"}' in received
    assert '"stream":"mail"' in received


@contextmanager
def _receiver(shell: Shell, port: int) -> Iterator[None]:
    """Run the receiver of the page; what it prints is in `received.log`."""
    log = shell.folder / "received.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["python", "receive.py"],
            cwd=shell.folder,
            env=shell.environment,
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
