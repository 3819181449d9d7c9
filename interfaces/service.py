"""The parts of a running Foldline, assembled by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from application.deliveries.service import DeliveryService
from application.ledger.ledger import Ledger
from application.ledger.tables.keys import ApiKeys
from application.ledger.tables.workspaces import Workspaces
from application.profiles.erasing import ErasureService
from interfaces.settings import Settings
from projections.runtime.projection import LedgerFeed
from projections.runtime.projector import Projector


@dataclass(frozen=True, kw_only=True)
class Service:
    """All parts of one Foldline, connected to the same database."""

    settings: Settings
    ledger: Ledger
    keys: ApiKeys
    workspaces: Workspaces

    engine: Engine
    """Connections for queries, from `create_query_engine`: read-only and limited in time."""

    feed: LedgerFeed
    projector: Projector
    """Knows the progress of the read models, also when another process applies the events."""

    erasure: ErasureService
    deliveries: DeliveryService

    check_database: Callable[[], None]
    """Checks the database server.  Raises UnsafeServer or LedgerUnavailable."""
