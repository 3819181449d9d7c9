"""Funnels: how many people went how far along some steps, in order, each in their own time."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.conditions.event_names import EventNamePattern
from domain.conditions.sequences import MAX_STEPS, EventStep
from domain.core import paths
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration, parse_instant


class Funnel(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """Events that people do one after the other.

    A step may carry the same instant as the one before, but is always another event.  ``window`` runs
    from the first step and may be taken exactly; ``from`` ≤ t < ``to`` binds every step.
    """

    steps: tuple[EventStep, ...]
    window: str | None = None
    from_: str | None = None
    to: str | None = None
    breakdown: str | None = None
    """Path of a property of the first step, by whose value people are told apart."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise InvalidRequest(f"a funnel has 1 to {MAX_STEPS} steps")
        if self.window is not None:
            parse_duration(self.window)
        for each in (self.from_, self.to):
            if each is not None and parse_instant(each) is None:
                raise InvalidRequest(f"{each!r} is no instant; write 2026-01-31T12:00:00Z")
        if self.breakdown is not None and paths.parse(self.breakdown)[0] != "properties":
            raise InvalidRequest(
                f"{self.breakdown[:100]!r} is no path of a property; write properties.plan"
            )

    @property
    def span(self) -> int | None:
        """The window in microseconds; None: no window."""
        return None if self.window is None else parse_duration(self.window)

    @property
    def event_names(self) -> frozenset[str] | None:
        """The names of the events that it looks at; None: a pattern says which."""
        return _exact_names(self.steps)

    @property
    def property_event_names(self) -> frozenset[str] | None:
        """The names of the events whose properties it looks at; None: a pattern says which."""
        looks = [it for it in self.steps if it.where]
        return _exact_names([*looks, *(self.steps[:1] if self.breakdown is not None else ())])


def parse_funnel(document: Any) -> Funnel:
    """Return the funnel that a JSON document spells.  Raises InvalidRequest with what to write."""
    try:
        return msgspec.convert(document, Funnel)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error} (in a funnel)") from None


def _exact_names(steps: list[EventStep] | tuple[EventStep, ...]) -> frozenset[str] | None:
    if any(isinstance(it.event, EventNamePattern) for it in steps):
        return None
    return frozenset(it.event for it in steps if isinstance(it.event, str))
