"""The database that a process uses: the configured server, or the embedded one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from application.deliveries.secret_key import generate_secret_key
from application.ledger.migrate import migrate
from application.ledger.server_requirements import check_server
from application.ledger.session import OneConnection
from application.ledger.tables.keys import ApiKeys
from application.ledger.tables.workspaces import Workspaces
from interfaces.embedded.account import EmbeddedUnavailable
from interfaces.embedded.postgres import EmbeddedPostgres
from interfaces.settings import Settings

DEFAULT_WORKSPACE = "default"


class Tenants(NamedTuple):
    """The tables of workspaces and their keys."""

    workspaces: Workspaces
    keys: ApiKeys


@contextmanager
def open_database(
    settings: Settings,
    supervise: Callable[[EmbeddedPostgres], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[Settings]:
    """Yields settings with ``dsn``: of the configured server, or of the embedded one while open.

    An embedded server that runs already, for another process, is shared.  ``supervise`` is entered
    with the embedded server while it is open.
    """
    if settings.dsn is not None:
        yield settings
        return
    postgres = EmbeddedPostgres(settings.home)
    with postgres as dsn, supervise(postgres):
        try:
            key = settings.secret_key or embedded_secret_key(settings.home)
        except OSError as error:
            raise EmbeddedUnavailable(
                f"{error.filename}: {error.strerror}. It holds the key that encrypts endpoint secrets; make"
                " it readable for this user, or set FOLDLINE_SECRET_KEY"
            ) from error
        yield replace(settings, dsn=dsn, secret_key=key)


@contextmanager
def open_tenants(settings: Settings) -> Iterator[Tenants]:
    """Opens the database and yields the tables of workspaces and keys, on one connection.

    For commands that end soon: `interfaces.bootstrap` and what it loads take longer than such a command.
    """
    with open_database(settings) as reachable:
        assert reachable.dsn is not None
        prepare_database(reachable.dsn)
        with closing(OneConnection(reachable.dsn)) as store:
            yield Tenants(Workspaces(store), ApiKeys(store))


def workspace_id(workspaces: Workspaces, name: str) -> int:
    """Returns a workspace's id; the default workspace is created if it does not exist."""
    if name == DEFAULT_WORKSPACE and all(row.name != name for row in workspaces.list()):
        return workspaces.create(name).id
    return workspaces.by_name(name).id


def prepare_database(dsn: str) -> tuple[str, ...]:
    """Applies the pending migrations to a server that is safe, and returns them.

    Raises UnsafeServer for a server that could lose events, LedgerUnavailable for one that does not answer.
    """
    check_server(dsn)
    return migrate(dsn)


def embedded_secret_key(home: Path) -> str:
    """Returns the encryption key of an embedded installation.

    It is generated at the first start, in a file that only this user can read.
    """
    path = home / "secret.key"
    if not path.exists():
        new_path = home / f"secret.key.{os.getpid()}"
        with os.fdopen(
            os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:
            file.write(generate_secret_key())
        with suppress(FileExistsError):  # another process was first; its key counts
            os.link(new_path, path)
        new_path.unlink()
    return path.read_text().strip()
