"""A profile as of a point of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.state import ProfileState


class LedgerPoint(NamedTuple):
    """A position of the ledger and the time when it was recorded."""

    position: int
    recorded_at: datetime


class ProfileAsOf(NamedTuple):
    """A profile and its state as of a point."""

    point: LedgerPoint
    profile: ResolvedProfile
    state: ProfileState
