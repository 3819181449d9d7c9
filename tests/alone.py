"""A lock for what all processes of pytest-xdist share."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone() -> Iterator[None]:
    """Holds the lock: for changes to the machine, or to files and servers that processes share."""
    lock = Path(tempfile.gettempdir()) / f"foldline-tests-{os.geteuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
