"""Builds read models in several processes, as many as there are cores, while one shows how far they are."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess

from interfaces.bootstrap import configure_logging, open_service, tune_garbage_collector
from interfaces.cli.signals import exit_on_signals, exit_with_parent
from interfaces.service import Service
from interfaces.settings import Settings
from projections.rebuild.service import RebuildService

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long a process may take to break off; what it does would be rolled back, not lost."""


def run_builds(svc: Service, names: Sequence[str], on_progress: Callable[[], None]) -> None:
    """Work on builds that were asked for, or wait for whoever does, until none of them is unfinished.

    ``told`` is called now and then.  Each process takes a share, and reads the ledger once for all in it.
    """
    lifecycle = RebuildService(svc.projector)
    shares = lifecycle.partition(names, os.cpu_count() or 1)
    if len(shares) == 1:
        _build_here(lifecycle, names, on_progress)
        return
    with _start_processes(svc.settings, shares) as working:
        while _unfinished(lifecycle, names) and any(it.is_alive() for it in working):
            on_progress()
            time.sleep(POLL_SECONDS)
    on_progress()


def _build_here(
    lifecycle: RebuildService, names: Sequence[str], on_progress: Callable[[], None]
) -> None:
    while unfinished := _unfinished(lifecycle, names):
        if not lifecycle.run_builds(*unfinished, on_progress=on_progress):
            time.sleep(POLL_SECONDS)  # somebody else is at it, or has just ended
        on_progress()


def _unfinished(lifecycle: RebuildService, names: Sequence[str]) -> Sequence[str]:
    builds = lifecycle.status()
    return [it for it in names if builds[it].unfinished]


@contextmanager
def _start_processes(
    settings: Settings, shares: Sequence[Sequence[str]]
) -> Iterator[Sequence[SpawnProcess]]:
    spawn = multiprocessing.get_context("spawn")  # a fork would share our connections
    processes = [
        spawn.Process(target=_build_in_process, args=(settings, it), daemon=True) for it in shares
    ]
    for it in processes:
        it.start()
    try:
        yield processes
    finally:
        for it in processes:
            it.terminate()
        for it in processes:
            it.join(STOP_SECONDS)


def _build_in_process(settings: Settings, names: Sequence[str]) -> None:
    """Be a process that works on its share, until that is built or the process that began it says stop."""
    exit_with_parent()
    configure_logging(settings.log_level)
    with exit_on_signals(), open_service(settings) as svc:
        tune_garbage_collector()
        _build_here(RebuildService(svc.projector), names, lambda: None)
