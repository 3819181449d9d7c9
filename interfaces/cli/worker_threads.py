"""Runs the loops of a worker in threads, or brings the read models up to date once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain

import structlog

from interfaces.cli.output import progress_bar
from interfaces.cli.worker_roles import WorkerRole
from interfaces.service import Service
from interfaces.trigger_source import create_firing_worker
from projections.rebuild.service import RebuildService
from projections.runtime.worker import work

log = structlog.get_logger(__name__)

STOP_SECONDS = 30.0
"""Time for a batch to finish after the stop signal. A batch that takes longer is rolled back, not lost."""


@contextmanager
def run_worker_threads(svc: Service, role: WorkerRole | None = None) -> Iterator[None]:
    """Run all loops of the role (default: of both roles) in threads until the context ends."""
    stop = threading.Event()
    tasks: dict[WorkerRole, tuple[tuple[str, Callable[[threading.Event], None]], ...]] = {
        WorkerRole.READ_MODELS: (
            ("projector", partial(work, svc.projector)),
            ("rebuild-worker", RebuildService(svc.projector).run),
            ("snapshotter", svc.ledger.run_snapshotter),
        ),
        WorkerRole.SENDING: (
            ("trigger-firing", create_firing_worker(svc.ledger, svc.engine).run),
            ("delivery-worker", svc.deliveries.worker.run),
            ("subscription-worker", svc.deliveries.subscriptions.run),
        ),
    }
    threads = [
        threading.Thread(target=run, args=(stop,), name=name, daemon=True)
        for name, run in chain.from_iterable(tasks.values() if role is None else [tasks[role]])
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOP_SECONDS)
            if thread.is_alive():
                # The batch in progress is rolled back when the process ends.
                log.warning("thread_did_not_stop", name=thread.name)


def catch_up_with_progress(svc: Service, workspace: int) -> None:
    """Apply a workspace's events up to the head of its ledger, with a progress bar.

    A worker may run at the same time: the process that locks a batch first applies it, the other waits.
    """
    head = svc.ledger.heads().get(workspace, 0)
    with progress_bar() as bar:
        task = bar.add_task("Updating read models", total=head)
        while (position := _slowest_position(svc, workspace)) < head:
            bar.update(task, completed=position)
            if not svc.projector.advance(workspace):
                time.sleep(0.05)
        bar.update(task, completed=head)


def _slowest_position(svc: Service, workspace: int) -> int:
    """Return the position that every read model has reached; 0 while one has no checkpoint yet."""
    positions = [
        status.position for status in svc.projector.status() if status.workspace == workspace
    ]
    return min(positions) if len(positions) == len(svc.projector.projections) else 0
