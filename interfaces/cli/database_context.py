"""Opens the database and the whole service for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interfaces.bootstrap import open_service, open_supervised_database
from interfaces.service import Service
from interfaces.settings import Settings


@contextmanager
def connected_service(settings: Settings) -> Iterator[Service]:
    """Yield the service on the configured database, embedded or external."""
    with (
        open_supervised_database(settings) as reachable,
        open_service(reachable, parallelism=2) as svc,
    ):
        yield svc
