"""A running Foldline, put together by the composition root and handed to whoever serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from application.deliveries.outgoing import Outgoing
from application.erasing import Erasing
from application.ledger.keys import Keys
from application.ledger.ledger import Ledger
from application.ledger.workspaces import Workspaces
from interfaces.settings import Settings
from projections.base import Feed
from projections.projector import Projector


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one Foldline, all over the same database."""

    settings: Settings
    ledger: Ledger
    keys: Keys
    workspaces: Workspaces

    engine: Engine
    """Connections for questions alone, from `reading_engine`: read-only and limited in time."""

    feed: Feed
    projector: Projector
    """Asked how far the read models are, also where another process moves them."""

    erasing: Erasing
    outgoing: Outgoing

    gate: Callable[[], None]
    """Asks the database whether it is safe to write to.  Raises UnsafeServer or LedgerUnavailable."""
