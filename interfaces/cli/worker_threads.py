"""What a worker does: brings read models up to date, and sends; beside a server until it stops, or once, to the end."""

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
"""How long a batch may take to finish after the stop; it would be rolled back, not lost."""


@contextmanager
def run_worker_threads(svc: Service, role: WorkerRole | None = None) -> Iterator[None]:
    """Keep read models up to date, build what is asked for, take snapshots, send: in threads, while inside."""
    stop = threading.Event()
    tasks: dict[WorkerRole, tuple[tuple[str, Callable[[threading.Event], None]], ...]] = {
        WorkerRole.READ_MODELS: (
            ("projector", partial(work, svc.projector)),
            ("builder", RebuildService(svc.projector).run),
            ("keeper", svc.ledger.run_snapshotter),
        ),
        WorkerRole.SENDING: (
            ("firer", create_firing_worker(svc.ledger, svc.engine).run),
            ("courier", svc.deliveries.worker.run),
            ("streams", svc.deliveries.subscriptions.run),
        ),
    }
    followers = [
        threading.Thread(target=run, args=(stop,), name=name, daemon=True)
        for name, run in chain.from_iterable(tasks.values() if role is None else [tasks[role]])
    ]
    for follower in followers:
        follower.start()
    try:
        yield
    finally:
        stop.set()
        for follower in followers:
            follower.join(STOP_SECONDS)
            if follower.is_alive():
                log.warning("did not stop in time; what it does is rolled back", name=follower.name)


def catch_up_with_progress(svc: Service, workspace: int) -> None:
    """Bring a workspace's read models up to the head of its ledger, with a progress bar.

    A worker may run at the same time: whoever takes a batch first applies it, the other waits.
    """
    head = svc.ledger.heads().get(workspace, 0)
    with progress_bar() as bar:
        task = bar.add_task("Updating read models", total=head)
        while (reached := _slowest_position(svc, workspace)) < head:
            bar.update(task, completed=reached)
            if not svc.projector.advance(workspace):
                time.sleep(0.05)
        bar.update(task, completed=head)


def _slowest_position(svc: Service, workspace: int) -> int:
    """Return the position that all read models have taken; 0 while one of them has not begun."""
    found = [it.position for it in svc.projector.status() if it.workspace == workspace]
    return min(found) if len(found) == len(svc.projector.projections) else 0
