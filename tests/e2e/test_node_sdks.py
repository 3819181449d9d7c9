"""The real SDKs for Node deliver to a running server: all of it, once, and nothing is sent again."""

from __future__ import annotations

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.alone import alone
from tests.e2e.relay import Relay
from tests.e2e.tenants import Tenant

HERE = Path(__file__).parent / "node"
PACKAGES = tuple(json.loads((HERE / "package.json").read_text())["dependencies"])
INSTALL_SECONDS = 120


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Path:
    """A folder with the driver and the SDKs installed; kept between runs until either changes."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    wanted = sha256(b"".join(it.read_bytes() for it in sorted(HERE.iterdir()))).hexdigest()[:12]
    folder = request.config.cache.mkdir(f"node-{wanted}")
    with alone():
        if not (folder / "installed").exists():
            install(folder)
    return folder


def install(folder: Path) -> None:
    for each in HERE.iterdir():
        shutil.copy(each, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(
        ["npm", "install", *quiet],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    (folder / "installed").touch()


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
