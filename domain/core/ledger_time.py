"""Instants of the ledger's clock and their causes."""

from __future__ import annotations

from typing import NamedTuple

TIMER = 0
"""The position in a `Cause` of a change that a timer made, not an event."""


class Cause(NamedTuple):
    """When and by which event a state changed, for example a membership or an accumulator."""

    at: int
    """In microseconds since 1970 UTC, on the ledger's clock."""

    position: int
    """Ledger position of the event, or `TIMER`."""
