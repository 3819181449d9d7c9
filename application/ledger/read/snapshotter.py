"""Background loop that takes snapshots while the service runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event

import structlog

from application.ledger.read import snapshots
from application.ledger.store import LedgerDatastore

POLL_SECONDS = 1.0
"""Seconds between two polls of the ledger heads.  A late snapshot only makes loads slower."""

log = structlog.get_logger(__name__)


class Snapshotter:
    """Follows the ledgers of all workspaces and takes the snapshots that are due."""

    def __init__(self, store: LedgerDatastore, heads: Callable[[], Mapping[int, int]]) -> None:
        self._store, self._heads = store, heads
        self._checked_heads: dict[int, int] = {}

    def run(self, stop: Event) -> None:
        """Takes snapshots until ``stop`` is set.  Logs errors and retries."""
        while not stop.wait(POLL_SECONDS):
            try:
                self.catch_up(stop)
            except Exception:  # e.g. the database restarted: the snapshots stay due
                log.exception("snapshots_failed", retry_in_seconds=POLL_SECONDS)

    def catch_up(self, stop: Event) -> int:
        """Takes all snapshots that are due; returns how many."""
        taken = 0
        for workspace, head in self._heads().items():
            if head == self._checked_heads.get(workspace):
                continue
            while (count := self._take(workspace)) and not stop.is_set():
                taken += count
            self._checked_heads[workspace] = head
        return taken

    def _take(self, workspace: int) -> int:
        with self._store.connection() as connection:
            return snapshots.take_due_snapshots(connection, workspace)
