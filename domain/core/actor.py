"""Who made a decision, when and why."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Actor(NamedTuple):
    """Who made a decision, when and why: recorded with every event about a definition."""

    name: str
    """Such as the id of an API key."""

    at: datetime
    reason: str = ""
