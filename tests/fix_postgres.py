"""A real PostgreSQL for the tests, embedded or FOLDLINE_TEST_DSN; a database for each test.

Each process of pytest-xdist starts its own embedded server, so that roles, connection limits and tests that
look at the whole server do not collide.  What processes share (the operating system's account that root runs
a server as, the permissions of its binaries, roles of FOLDLINE_TEST_DSN, servers of killed sessions) is changed
by one process at a time.

Homes are in memory if there is room: the settings, fsync included, stay those of a user, but cost nothing.
Creating and dropping a database took 1.3 s on a disk shared by two processes, and takes 0.07 s in memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine

from interfaces.embedded.account import embedded_version, server_account
from interfaces.embedded.postgres import EmbeddedPostgres
from tests.alone import alone

_HOME_PREFIX = "foldline-tests-"
_MEMORY = Path("/dev/shm")
_REQUIRED_BYTES = 6 * 1024**3
"""Free bytes needed for homes in memory: a server writes at most 4 GB of write-ahead log."""


@dataclass(frozen=True)
class Template:
    """An empty database with all tables, and the address of its server."""

    server: str
    name: str
    strategy: str = "WAL_LOG"


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The address of a server on which databases can be created."""
    if external := os.environ.get("FOLDLINE_TEST_DSN"):
        yield external
        return
    # Not in pytest's folder: its path may be too long for a socket, and the next session of pytest removes
    # the permission of the server's user to traverse it.
    home = Path(tempfile.mkdtemp(prefix=_HOME_PREFIX, dir=homes()))
    server = EmbeddedPostgres(home)
    try:
        with alone():
            _remove_abandoned_servers()
            dsn = server.open()
        with server:
            yield dsn
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def template(postgres_dsn: str) -> Iterator[Template]:
    """The template that `database` and `clone` copy."""
    name = f"foldline_template_{uuid4().hex[:12]}"
    _execute(postgres_dsn, "CREATE DATABASE {}", name)
    try:
        with alone():
            prepare(database_dsn(postgres_dsn, name))
        # An open connection would make every copy fail, so none is allowed from here on.
        _execute(postgres_dsn, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
        if "FOLDLINE_TEST_DSN" not in os.environ and homes() == str(_MEMORY):
            # In memory, copying files is as fast as writing them, and needs no log.
            yield Template(postgres_dsn, name, "FILE_COPY")
        else:
            yield Template(postgres_dsn, name)
    finally:
        _execute(postgres_dsn, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def modelled(template: Template) -> Iterator[Template]:
    """A template with the tables of all read models: creating them takes longer than most tests."""
    from projections import PROJECTIONS
    from projections.runtime.projector import Projector
    from tests.integration.projections.history import ListFeed

    with clone(template) as dsn:
        engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
        Projector(ListFeed(), engine, PROJECTIONS).prepare()
        engine.dispose()
        yield replace(template, name=str(conninfo_to_dict(dsn)["dbname"]))


@pytest.fixture
def database(template: Template) -> Iterator[str]:
    """The address of a migrated, empty database for one test."""
    with clone(template) as dsn:
        yield dsn


@contextmanager
def clone(template: Template) -> Iterator[str]:
    """Yield the address of a copy of the template; cheap enough for each example of a property."""
    name = f"foldline_test_{uuid4().hex[:12]}"
    create = f"CREATE DATABASE {{}} TEMPLATE {{}} STRATEGY {template.strategy}"
    _execute(template.server, create, name, template.name)
    try:
        yield database_dsn(template.server, name)
    finally:
        _execute(template.server, "DROP DATABASE {} WITH (FORCE)", name)


@cache
def homes() -> str:
    """The folder for homes of embedded servers; creates the server's account first."""
    with alone():
        server_account(Path(tempfile.gettempdir()) / "postgres")
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _REQUIRED_BYTES:
        return str(_MEMORY)
    return tempfile.gettempdir()


def prepare(dsn: str) -> None:
    """Create what every test expects in a new database."""
    from application.ledger.migrate import migrate

    migrate(dsn)


def database_dsn(server: str, name: str) -> str:
    """The address, as a URI, of another database on the same server."""
    parts = {key: str(value) for key, value in conninfo_to_dict(server).items()}
    parts.pop("dbname", None)
    credentials = ":".join(
        quote(parts.pop(key), safe="") for key in ("user", "password") if key in parts
    )
    return f"postgresql://{credentials}{'@' * bool(credentials)}/{name}?{urlencode(parts, quote_via=quote)}"


def pytest_report_header() -> str:
    if external := os.environ.get("FOLDLINE_TEST_DSN"):
        try:
            with psycopg.connect(external, connect_timeout=10) as connection:
                return f"postgresql: {connection.info.parameter_status('server_version')} (FOLDLINE_TEST_DSN)"
        except psycopg.OperationalError as error:
            raise pytest.UsageError(f"FOLDLINE_TEST_DSN is unreachable: {error}") from error
    return f"postgresql: {embedded_version()} (embedded)"


def _execute(server: str, statement: str, *names: str) -> None:
    query = sql.SQL(statement).format(*map(sql.Identifier, names))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(query)


def _remove_abandoned_servers() -> None:
    """Stop and remove the servers of test sessions that were killed."""
    folders = {Path(tempfile.gettempdir()), _MEMORY}
    for home in chain.from_iterable(folder.glob(f"{_HOME_PREFIX}*/") for folder in folders):
        if time.time() - home.stat().st_mtime < 3_600 or home.stat().st_uid != os.geteuid():
            continue
        server = EmbeddedPostgres(home)
        server.open()
        if server.close():
            shutil.rmtree(home)
