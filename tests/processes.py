"""Processes of the operating system that may end while a test looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started.  Raises psutil.NoSuchProcess if it is gone itself."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def kill(processes: Iterable[psutil.Process]) -> None:
    """End what is still there of them, in this order, before any of them can do more."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def named(
    processes: Iterable[psutil.Process], wanted: Callable[[str], bool]
) -> list[psutil.Process]:
    """Those whose command line is wanted; who has ended, or waits for its parent to see it, has none."""
    found = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if wanted(" ".join(each.cmdline())):
                found.append(each)
    return found
