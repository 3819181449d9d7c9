"""Composition root: the only place where the parts of Foldline are assembled."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

import psycopg
import structlog
from sqlalchemy import Engine, create_engine

from application.deliveries.networks import Network, parse_networks
from application.deliveries.secret_key import parse_secret_key
from application.deliveries.service import DeliveryService
from application.ledger.append.group_commit import FlushLimits
from application.ledger.ledger import Ledger
from application.ledger.server_requirements import check_server
from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import KEY_KINDS, ApiKeys, CreatedKey
from application.ledger.tables.workspaces import Workspaces
from application.profiles.erasing import ErasureService
from interfaces.database import (
    DEFAULT_WORKSPACE,
    open_database,
    prepare_database,
    workspace_id,
)
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

SUPERVISION_INTERVAL_SECONDS = 1.0
"""Time between two checks that the embedded database is running."""


def open_supervised_database(settings: Settings) -> AbstractContextManager[Settings]:
    """Opens the database of a process that runs on: an embedded server that dies is restarted."""
    return open_database(settings, _supervised)


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
    prepare_database(settings.dsn)
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
            check_database=partial(check_server, settings.dsn),
        )


def allowed_networks(settings: Settings) -> Sequence[Network]:
    """Returns and logs the networks outside the public internet that webhooks may be sent to."""
    networks = parse_networks(settings.webhook_allow)
    if networks:
        log.warning("webhooks_allowed_to_private_networks", networks=settings.webhook_allow)
    return networks


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
    workspace = workspace_id(service.workspaces, DEFAULT_WORKSPACE)
    if service.keys.list(workspace):
        return []
    return [service.keys.create(workspace, kind) for kind in KEY_KINDS]


def tune_garbage_collector() -> None:
    """Excludes loaded modules from garbage collection, and makes collections rarer.

    A flush creates tens of thousands of short-lived objects without cycles; looking for cycles among them
    every 700 allocations took a third of the time (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
