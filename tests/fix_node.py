"""The real SDKs for Node, and Segment's for browsers, installed once for all tests."""

from __future__ import annotations

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.alone import alone

NODE = Path(__file__).parent / "e2e" / "node"
INSTALL_SECONDS = 120


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Path:
    """A folder with the driver and the SDKs installed; kept between runs until either changes."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    wanted = sha256(b"".join(it.read_bytes() for it in sorted(NODE.iterdir()))).hexdigest()[:12]
    folder = request.config.cache.mkdir(f"node-{wanted}")
    with alone():
        if not (folder / "installed").exists():
            install(folder)
    return folder


def install(folder: Path) -> None:
    for each in NODE.iterdir():
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
