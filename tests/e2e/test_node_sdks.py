"""The real SDKs for Node deliver every message to a running server, once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.relay import Relay
from tests.e2e.tenants import Tenant
from tests.fix_node import NODE

PACKAGES = tuple(json.loads((NODE / "package.json").read_text())["dependencies"])


@pytest.mark.parametrize("package", PACKAGES)
def test_every_call_is_recorded_once_as_what_it_is(shop: Tenant, node: Path, package: str) -> None:
    with Relay(shop.server.port) as relay:
        driver = ["node", "deliver.mjs", package, relay.url, shop.write]
        done = subprocess.run(
            driver, check=False, cwd=node, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert {(it.method, it.path, it.status) for it in relay.seen} == {("POST", "/v1/batch", 200)}
    sent = [it["messageId"] for it in relay.sent()]
    assert len(sent) == len(set(sent)) == 7, "nothing was sent again"

    listed = shop.events()
    assert {it["message_id"] for it in listed} == set(sent)
    assert sorted((it["kind"], it["name"]) for it in listed) == [
        ("alias", "alias"),
        ("group", "group"),
        ("identify", "identify"),
        ("page", "page_view"),
        ("screen", "screen_view"),
        ("track", "Cut in the middle \ufffd"),
        ("track", "Order Completed"),
    ]
    assert shop.rejected() == []
