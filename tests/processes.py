"""Processes of the operating system that may end while a test inspects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants.  Raises psutil.NoSuchProcess if it has ended itself."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill those processes that still run, in the given order."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def named(
    processes: Iterable[psutil.Process], matches: Callable[[str], bool]
) -> list[psutil.Process]:
    """The processes whose command line matches; ended and zombie processes have none."""
    matching = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if matches(" ".join(process.cmdline())):
                matching.append(process)
    return matching
