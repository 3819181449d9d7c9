"""Composition root: the only place where the parts of Foldline are assembled."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import structlog
from sqlalchemy import Engine, create_engine

from application.deliveries.addresses import Network, parse_networks
from application.deliveries.encryption import generate_secret_key, parse_secret_key
from application.deliveries.service import DeliveryService
from application.ledger import server_requirements
from application.ledger.append.group_commit import FlushLimits
from application.ledger.ledger import Ledger
from application.ledger.migrate import migrate
from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import KEY_KINDS, ApiKeys, CreatedKey
from application.ledger.tables.workspaces import Workspaces
from application.profiles.erasing import ErasureService
from domain.core.errors import LedgerUnavailable
from interfaces.embedded.account import EmbeddedUnavailable
from interfaces.embedded.postgres import EmbeddedPostgres
from interfaces.query_connections import (
    MAX_CONCURRENT_QUERIES,
    create_query_engine,
    replace_disconnected,
)
from interfaces.service import Service
from interfaces.settings import Settings
from projections import PROJECTIONS
from projections.rebuild.erasure import begin_erasure
from projections.runtime.projector import Projector

log = structlog.get_logger(__name__)

DEFAULT_WORKSPACE = "default"

SUPERVISION_INTERVAL_SECONDS = 1.0
"""Time between two checks that the embedded database is running."""


@contextmanager
def open_database(settings: Settings) -> Iterator[Settings]:
    """Yields settings with ``dsn``: of the configured server, or of the embedded one while open."""
    if settings.dsn is not None:
        yield settings
    else:
        postgres = EmbeddedPostgres(settings.home)
        with postgres as dsn, _supervised(postgres):
            key = settings.secret_key or embedded_secret_key(settings.home)
            yield replace(settings, dsn=dsn, secret_key=key)


@contextmanager
def _supervised(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Restarts the embedded server if it dies: no service manager supervises it."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(SUPERVISION_INTERVAL_SECONDS):
            if postgres.cluster.postmaster() is None:
                log.warning("embedded_database_restarting")
                try:
                    postgres.ensure_running()
                except EmbeddedUnavailable as error:
                    log.exception("embedded_database_restart_failed", reason=str(error))

    watcher = threading.Thread(target=watch, name="embedded-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopped.set()
        watcher.join()


@contextmanager
def open_service(
    settings: Settings,
    *,
    writers: int = 2,
    parallelism: int = 1,
    on_flush: Callable[[int, float], None] = lambda _messages, _seconds: None,
) -> Iterator[Service]:
    """Migrates the database at ``settings.dsn`` and assembles Foldline, ready for events.

    ``writers`` is the number of group-commit threads.  ``parallelism`` is that of read models: 2 is for
    processes that answer no requests.  ``on_flush`` is called with the number of messages of each flush and
    the seconds it took.

    Raises UnsafeServer for a server that could lose events, LedgerUnavailable for one that does not answer.
    """
    assert settings.dsn is not None
    check = partial(check_server, settings.dsn)
    check()
    migrate(settings.dsn)
    with ExitStack() as stack:
        store = LedgerDatastore(settings.dsn)
        query_store = LedgerDatastore(
            settings.dsn, connections=MAX_CONCURRENT_QUERIES, wait_seconds=2
        )
        delivery_store = LedgerDatastore(settings.dsn, connections=3, wait_seconds=2)
        for datastore in (store, query_store, delivery_store):
            stack.callback(datastore.close)
        query_engine = create_query_engine(settings.dsn)
        projection_engine = create_projection_engine(settings.dsn)
        for engine in (query_engine, projection_engine):
            stack.callback(engine.dispose)
        workspaces = Workspaces(store)
        ledger = Ledger(
            store,
            workspaces,
            query_store=query_store,
            limits=FlushLimits(max_flush=settings.flush_events, max_queued=settings.queue_events),
            writers=writers,
            on_flush=on_flush,
        )
        stack.callback(ledger.close)
        projector = Projector(ledger, projection_engine, PROJECTIONS, parallelism=parallelism)
        projector.prepare()
        yield Service(
            settings=settings,
            ledger=ledger,
            keys=ApiKeys(store),
            workspaces=workspaces,
            engine=query_engine,
            feed=ledger,
            projector=projector,
            erasure=ErasureService(ledger, partial(begin_erasure, projector)),
            deliveries=DeliveryService(
                delivery_store,
                ledger,
                key=parse_secret_key(settings.secret_key),
                allowed=allowed_networks(settings),
            ),
            check_database=check,
        )


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


def allowed_networks(settings: Settings) -> Sequence[Network]:
    """Returns and logs the networks outside the public internet that webhooks may be sent to."""
    networks = parse_networks(settings.webhook_allow)
    if networks:
        log.warning("webhooks_allowed_to_private_networks", networks=settings.webhook_allow)
    return networks


def check_server(dsn: str) -> None:
    """Raises UnsafeServer or LedgerUnavailable, with what to do, unless the server is usable."""
    try:
        with psycopg.connect(dsn, connect_timeout=3, autocommit=True) as connection:
            server_requirements.require_safe_server(connection)
    except psycopg.Error as error:
        raise LedgerUnavailable(
            f"the database does not answer: {str(error).strip()}. Check that the server of FOLDLINE_DSN"
            " is running"
        ) from error


def create_projection_engine(dsn: str) -> Engine:
    """Returns the engine that read models are written with."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, application_name="foldline projector"),
        pool_size=2,
        max_overflow=4,
    )
    replace_disconnected(engine)
    return engine


def create_first_keys(service: Service) -> list[CreatedKey]:
    """Creates the default workspace, and a key of each kind if it has no keys.

    Returns the created keys.
    """
    workspaces = {workspace.name: workspace for workspace in service.workspaces.list()}
    workspace = workspaces.get(DEFAULT_WORKSPACE) or service.workspaces.create(DEFAULT_WORKSPACE)
    if service.keys.list(workspace.id):
        return []
    return [service.keys.create(workspace.id, kind) for kind in KEY_KINDS]


def configure_logging(level: str) -> None:
    """Logs to standard error: facts, never payloads, keys or local variables."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(numeric, logging.WARNING), stream=sys.stderr)
    console = sys.stderr.isatty()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(
                colors=True, exception_formatter=structlog.dev.plain_traceback
            )
            if console
            else structlog.processors.LogfmtRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def tune_garbage_collector() -> None:
    """Excludes loaded modules from garbage collection, and makes collections rarer.

    A flush creates tens of thousands of short-lived objects without cycles; looking for cycles among them
    every 700 allocations took a third of the time (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
