"""Opens the database and the service for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interfaces.bootstrap import DEFAULT_WORKSPACE, open_database, open_service
from interfaces.service import Service
from interfaces.settings import Settings


@contextmanager
def connected_service(settings: Settings) -> Iterator[Service]:
    """Yield the service on the configured database, embedded or external."""
    with open_database(settings) as reachable, open_service(reachable, parallelism=2) as svc:
        yield svc


def workspace_id(svc: Service, name: str) -> int:
    """Return a workspace's id; the default workspace is created if it does not exist."""
    if name == DEFAULT_WORKSPACE and all(
        workspace.name != name for workspace in svc.workspaces.list()
    ):
        return svc.workspaces.create(name).id
    return svc.workspaces.by_name(name).id
