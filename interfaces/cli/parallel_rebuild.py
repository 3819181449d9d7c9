"""Rebuilds read models in parallel processes, one per core, and reports progress."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess

from interfaces.bootstrap import open_service, tune_garbage_collector
from interfaces.cli.signals import exit_on_signals, exit_with_parent
from interfaces.logs import configure_logging
from interfaces.service import Service
from interfaces.settings import Settings
from projections.rebuild.service import RebuildService

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0
"""Time for a process to stop. The batch of a process that takes longer is rolled back, not lost."""


def run_builds(svc: Service, names: Sequence[str], on_progress: Callable[[], None]) -> None:
    """Run the requested builds, or wait for the processes that run them, until all end.

    Calls ``on_progress`` repeatedly.  Each process takes a share of the builds, and reads the ledger once for all of
    its share.
    """
    rebuilds = RebuildService(svc.projector)
    shares = rebuilds.partition(names, os.cpu_count() or 1)
    if len(shares) == 1:
        _build_here(rebuilds, names, on_progress)
        return
    with _start_processes(svc.settings, shares) as processes:
        while _unfinished(rebuilds, names) and any(process.is_alive() for process in processes):
            on_progress()
            time.sleep(POLL_SECONDS)
    on_progress()


def _build_here(
    rebuilds: RebuildService, names: Sequence[str], on_progress: Callable[[], None]
) -> None:
    while unfinished := _unfinished(rebuilds, names):
        if not rebuilds.run_builds(*unfinished, on_progress=on_progress):
            time.sleep(POLL_SECONDS)  # another process runs them, or has just ended
        on_progress()


def _unfinished(rebuilds: RebuildService, names: Sequence[str]) -> Sequence[str]:
    builds = rebuilds.status()
    return [name for name in names if builds[name].unfinished]


@contextmanager
def _start_processes(
    settings: Settings, shares: Sequence[Sequence[str]]
) -> Iterator[Sequence[SpawnProcess]]:
    spawn = multiprocessing.get_context("spawn")  # a fork would share the database connections
    processes = [
        spawn.Process(target=_build_in_process, args=(settings, share), daemon=True)
        for share in shares
    ]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(STOP_SECONDS)


def _build_in_process(settings: Settings, names: Sequence[str]) -> None:
    """Main function of a child process: runs its share of builds until finished or stopped."""
    exit_with_parent()
    configure_logging(settings.log_level)
    with exit_on_signals(), open_service(settings) as svc:
        tune_garbage_collector()
        _build_here(RebuildService(svc.projector), names, lambda: None)
