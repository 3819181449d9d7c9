"""A running Foldline, put together by the composition root and handed to whoever serves it."""

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
    """The parts of one Foldline, all over the same database."""

    settings: Settings
    ledger: Ledger
    keys: ApiKeys
    workspaces: Workspaces

    engine: Engine
    """Connections for questions alone, from `reading_engine`: read-only and limited in time."""

    feed: LedgerFeed
    projector: Projector
    """Asked how far the read models are, also where another process moves them."""

    erasure: ErasureService
    deliveries: DeliveryService

    check_database: Callable[[], None]
    """Asks the database whether it is safe to write to.  Raises UnsafeServer or LedgerUnavailable."""
