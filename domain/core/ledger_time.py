"""An instant of the ledger's clock, and what made it one."""

from __future__ import annotations

from typing import NamedTuple

TIMER = 0
"""Stands for the position of what only time has caused."""


class Cause(NamedTuple):
    """When something began or ended: that somebody is in a segment, that something is remembered."""

    at: int
    """In microseconds since 1970 UTC, on the ledger's clock."""

    position: int
    """Position of the event that did it, or BY_ITSELF."""
