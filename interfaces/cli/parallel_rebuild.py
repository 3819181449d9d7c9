"""Builds read models in several processes, as many as there are cores, while one shows how far they are."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess

from interfaces.bootstrap import service, set_up_logging, settle
from interfaces.cli.signals import end_with_parent, exit_on_signals
from interfaces.service import Service
from interfaces.settings import Settings
from projections.rebuild.lifecycle import Lifecycle

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long a process may take to break off; what it does would be rolled back, not lost."""


def build(svc: Service, names: Sequence[str], told: Callable[[], None]) -> None:
    """Work on builds that were asked for, or wait for whoever does, until none of them is unfinished.

    ``told`` is called now and then.  Each process takes a share, and reads the ledger once for all in it.
    """
    lifecycle = Lifecycle(svc.projector)
    shares = lifecycle.shares(names, os.cpu_count() or 1)
    if len(shares) == 1:
        _work(lifecycle, names, told)
        return
    with _processes(svc.settings, shares) as working:
        while _unfinished(lifecycle, names) and any(it.is_alive() for it in working):
            told()
            time.sleep(POLL_SECONDS)
    told()


def _work(lifecycle: Lifecycle, names: Sequence[str], told: Callable[[], None]) -> None:
    while unfinished := _unfinished(lifecycle, names):
        if not lifecycle.work_on(*unfinished, told=told):
            time.sleep(POLL_SECONDS)  # somebody else is at it, or has just ended
        told()


def _unfinished(lifecycle: Lifecycle, names: Sequence[str]) -> Sequence[str]:
    builds = lifecycle.look()
    return [it for it in names if builds[it].unfinished]


@contextmanager
def _processes(
    settings: Settings, shares: Sequence[Sequence[str]]
) -> Iterator[Sequence[SpawnProcess]]:
    spawn = multiprocessing.get_context("spawn")  # a fork would share our connections
    processes = [spawn.Process(target=_run, args=(settings, it), daemon=True) for it in shares]
    for it in processes:
        it.start()
    try:
        yield processes
    finally:
        for it in processes:
            it.terminate()
        for it in processes:
            it.join(STOP_SECONDS)


def _run(settings: Settings, names: Sequence[str]) -> None:
    """Be a process that works on its share, until that is built or the process that began it says stop."""
    end_with_parent()
    set_up_logging(settings.log_level)
    with exit_on_signals(), service(settings) as svc:
        settle()
        _work(Lifecycle(svc.projector), names, lambda: None)
