"""The lock file: every dependency pinned with hashes, and no address of a registry in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9.\-]+)==([^ \\]+)", LOCK, re.MULTILINE))


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for dependency in map(Requirement, project["dependencies"]):
        pinned = Version(PINNED[canonicalize_name(dependency.name)])
        assert dependency.specifier.contains(pinned), f"{dependency} is pinned as {pinned}"


def test_every_pin_has_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    assert len(entries) == len(PINNED)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_address_stands_in_it() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK
