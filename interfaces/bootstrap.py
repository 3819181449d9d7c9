"""The composition root: the one place where the parts of Foldline meet."""

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
from interfaces.query_connections import MAX_CONCURRENT_QUERIES, create_query_engine
from interfaces.service import Service
from interfaces.settings import Settings
from projections import PROJECTIONS
from projections.rebuild.erasure import begin_erasure
from projections.runtime.projector import Projector

log = structlog.get_logger(__name__)

DEFAULT_WORKSPACE = "default"

SUPERVISION_INTERVAL_SECONDS = 1.0
"""How often to look whether the embedded database is there."""


@contextmanager
def open_database(settings: Settings) -> Iterator[Settings]:
    """Give settings whose ``dsn`` is set: the configured server, or the embedded one while inside."""
    if settings.dsn is not None:
        yield settings
    else:
        postgres = EmbeddedPostgres(settings.home)
        with postgres as dsn, _supervised(postgres):
            key = settings.secret_key or embedded_secret_key(settings.home)
            yield replace(settings, dsn=dsn, secret_key=key)


@contextmanager
def _supervised(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Start the embedded server again if it dies: nobody else looks after it."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(SUPERVISION_INTERVAL_SECONDS):
            if postgres.cluster.postmaster() is None:
                log.warning("the embedded database died and is started again")
                try:
                    postgres.ensure_running()
                except EmbeddedUnavailable as error:
                    log.exception("the embedded database cannot be started", reason=str(error))

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
    """Put Foldline together over a database (``settings.dsn``), ready to take events.

    ``lanes`` is for read models: two are for processes that have nobody's requests to answer meanwhile.

    Migrates first.  Raises UnsafeServer for a server that could lose events, LedgerUnavailable for
    one that does not answer.
    """
    assert settings.dsn is not None
    check = partial(check_server, settings.dsn)
    check()
    migrate(settings.dsn)
    with ExitStack() as stack:
        store = LedgerDatastore(settings.dsn)
        stack.callback(store.close)
        query_store = LedgerDatastore(
            settings.dsn, connections=MAX_CONCURRENT_QUERIES, wait_seconds=2
        )
        stack.callback(query_store.close)
        delivery_store = LedgerDatastore(settings.dsn, connections=3, wait_seconds=2)
        stack.callback(delivery_store.close)
        query_engine, projection_engine = (
            create_query_engine(settings.dsn),
            create_projection_engine(settings.dsn),
        )
        stack.callback(query_engine.dispose)
        stack.callback(projection_engine.dispose)
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
    """Return the key of an embedded database's secrets: made at the first start, readable to us alone."""
    path = home / "secret.key"
    if not path.exists():
        new = home / f"secret.key.{os.getpid()}"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(generate_secret_key())
        with suppress(FileExistsError):  # another process was first, and its key is the one
            os.link(new, path)
        new.unlink()
    return path.read_text().strip()


def allowed_networks(settings: Settings) -> Sequence[Network]:
    """Return the networks that webhooks may go to beside the public internet; they are logged."""
    networks = parse_networks(settings.webhook_allow)
    if networks:
        log.warning(
            "webhooks may go to networks that are not public", networks=settings.webhook_allow
        )
    return networks


def check_server(dsn: str) -> None:
    """Raise UnsafeServer or LedgerUnavailable, with what to do, unless the server will do."""
    try:
        with psycopg.connect(dsn, connect_timeout=3, autocommit=True) as connection:
            server_requirements.require_safe_server(connection)
    except psycopg.Error as error:
        raise LedgerUnavailable(
            f"the database does not answer: {str(error).strip()}. Is the server of FOLDLINE_DSN up?"
        ) from error


def create_projection_engine(dsn: str) -> Engine:
    """Return the connections that read models are written with."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, application_name="foldline projector"),
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
    )


def create_first_keys(service: Service) -> list[CreatedKey]:
    """Make the default workspace, and a key of each kind, if it is not there or has none."""
    names = {it.name: it for it in service.workspaces.list()}
    workspace = names.get(DEFAULT_WORKSPACE) or service.workspaces.create(DEFAULT_WORKSPACE)
    if service.keys.list(workspace.id):
        return []
    return [service.keys.create(workspace.id, kind) for kind in KEY_KINDS]


def configure_logging(level: str) -> None:
    """Write log lines to standard error: facts, never payloads, keys or local variables."""
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
    """Tell the garbage collector that what is loaded by now stays, and that much will come and go.

    A flush makes tens of thousands of short-lived objects without cycles; looking for cycles among
    them every 700 took a third of the time (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
