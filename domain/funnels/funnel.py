"""Funnels: how many profiles perform ordered steps, each profile in its own time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.conditions.event_names import EventNamePattern
from domain.conditions.sequences import MAX_STEPS, EventStep
from domain.core import paths
from domain.core.errors import InvalidRequest
from domain.core.time import check_instant, parse_duration
from domain.core.validation import describe_problem


class Funnel(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """Events that profiles perform one after the other.

    A step may have the same instant as the one before, but is always another event.  ``window`` runs
    from the first step, and a profile may take exactly that long; ``from`` ≤ t < ``to`` binds every step.
    """

    steps: tuple[EventStep, ...]
    window: str | None = None
    from_: str | None = None
    to: str | None = None
    breakdown: str | None = None
    """Path of a property of the first step, by whose values profiles are grouped."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise InvalidRequest(f"a funnel must have 1 to {MAX_STEPS} steps")
        if self.window is not None:
            parse_duration(self.window)
        check_instant(self.from_)
        check_instant(self.to)
        if self.breakdown is not None and paths.parse(self.breakdown)[0] != "properties":
            raise InvalidRequest(
                f"the breakdown {self.breakdown[:100]!r} is not the path of a property;"
                " use e.g. properties.plan"
            )

    @property
    def span(self) -> int | None:
        """The window in microseconds; None: no window."""
        return None if self.window is None else parse_duration(self.window)

    @property
    def event_names(self) -> frozenset[str] | None:
        """The names of the events that can be steps; None if a step has a pattern."""
        return _exact_names(self.steps)

    @property
    def property_event_names(self) -> frozenset[str] | None:
        """The names of the events whose properties matter; None if such a step has a pattern."""
        steps = [step for step in self.steps if step.where]
        return _exact_names([*steps, *(self.steps[:1] if self.breakdown is not None else ())])


def parse_funnel(document: Any) -> Funnel:
    """Returns the funnel that a JSON document defines.  Raises InvalidRequest."""
    try:
        return msgspec.convert(document, Funnel)
    except msgspec.ValidationError as error:
        raise InvalidRequest(describe_problem(error, "funnel", Funnel)) from None


def _exact_names(steps: Sequence[EventStep]) -> frozenset[str] | None:
    if any(isinstance(step.event, EventNamePattern) for step in steps):
        return None
    return frozenset(step.event for step in steps if isinstance(step.event, str))
