"""Pages on lists, profiles and webhooks: their commands, in order, answer as written."""

from __future__ import annotations

import os
from base64 import b64encode

import pytest

from tests.listening import listening
from tests.pages import Page, Serve
from tests.serving import free_port

WEBHOOKS = Page("howto/send-webhooks.md")


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
    receiver = ["python", "receive.py"]
    with listening(receiver, shell.folder, shell.environment, "received.log", port):
        assert shell.follow(WEBHOOKS) == len(WEBHOOKS.of("json"))
    received = (shell.folder / "received.log").read_text()
    assert '{"text":"Ann bought for 120.5"}' in received
    assert '"stream":"mail"' in received
