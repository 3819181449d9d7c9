"""A person as they were at some place of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.state import ProfileState


class LedgerPoint(NamedTuple):
    """A position that the ledger has reached, and when it did."""

    position: int
    recorded_at: datetime


class ProfileAsOf(NamedTuple):
    """Who a person was at a place, and what was known of them."""

    point: LedgerPoint
    profile: ResolvedProfile
    state: ProfileState
