"""What commands that work on the database begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interfaces.bootstrap import DEFAULT_WORKSPACE, open_database, open_service
from interfaces.service import Service
from interfaces.settings import Settings


@contextmanager
def connected_service(settings: Settings) -> Iterator[Service]:
    """Give the parts of Foldline over the database of the settings, embedded or not."""
    with open_database(settings) as reachable, open_service(reachable, parallelism=2) as svc:
        yield svc


def workspace_id(svc: Service, name: str) -> int:
    """Return a workspace's id.  The default one is made if it is not there yet."""
    if name == DEFAULT_WORKSPACE and all(it.name != name for it in svc.workspaces.list()):
        return svc.workspaces.create(name).id
    return svc.workspaces.by_name(name).id
