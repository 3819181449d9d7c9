"""Goals: whether people did what they were meant to, soon enough after they had been reached."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from domain.conditions.sequences import EventStep
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration
from domain.events.channels import CHANNEL_STEPS
from domain.funnels.funnel import Funnel


class MessageExposure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message that took a step, or a later one."""

    step: Literal[CHANNEL_STEPS]  # type: ignore[valid-type]
    campaign: str | None = None
    channel: str | None = None
    template: str | None = None


class Goal(msgspec.Struct, frozen=True):
    """What people were exposed to, and what they should do within a time from it."""

    exposure: EventStep | MessageExposure
    goal: EventStep
    within: str
    """Longest time from the exposure, which may be taken exactly."""

    from_: str | None = None
    to: str | None = None
    """``from`` ≤ t < ``to`` binds the exposure; the goal has its time from there."""

    @property
    def event_funnel(self) -> Funnel:
        """The steps that are events: the exposure if it is one, and the goal."""
        steps = (self.exposure, self.goal) if isinstance(self.exposure, EventStep) else (self.goal,)
        return Funnel(steps, self.within, self.from_, self.to)


class _GoalDocument(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"from_": "from"},
):
    exposure: dict[str, Any]
    goal: EventStep
    within: str
    from_: str | None = None
    to: str | None = None


def parse_goal(document: Any) -> Goal:
    """Return the goal that a JSON document spells.  Raises InvalidRequest with what to write."""
    try:
        spelt = msgspec.convert(document, _GoalDocument)
        exposure: EventStep | MessageExposure = (
            msgspec.convert(spelt.exposure, EventStep)
            if "event" in spelt.exposure
            else msgspec.convert(spelt.exposure, MessageExposure)
        )
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error} (in a goal)") from None
    parse_duration(spelt.within)
    goal = Goal(exposure, spelt.goal, spelt.within, spelt.from_, spelt.to)
    assert goal.event_funnel  # refuses what its bounds cannot be
    return goal
