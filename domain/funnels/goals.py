"""Goals: whether profiles perform an event within a time after an exposure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from domain.conditions.sequences import EventStep
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration
from domain.core.validation import describe_problem
from domain.events.channels import CHANNEL_STEPS
from domain.funnels.funnel import Funnel


class MessageExposure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exposure by a channel message that reached a step, or a later one that implies it."""

    step: Literal[CHANNEL_STEPS]  # type: ignore[valid-type]
    campaign: str | None = None
    channel: str | None = None
    template: str | None = None


class Goal(msgspec.Struct, frozen=True):
    """An exposure, and the event that profiles should perform within a time after it."""

    exposure: EventStep | MessageExposure
    goal: EventStep
    within: str
    """Longest duration from the exposure to the goal, inclusive."""

    from_: str | None = None
    to: str | None = None
    """``from`` ≤ t < ``to`` binds the exposure; the goal may come later, within its time."""

    @property
    def event_funnel(self) -> Funnel:
        """The funnel of the steps that are events: the goal, after the exposure if that is one."""
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
    """Returns the goal that a JSON document defines.  Raises InvalidRequest."""
    try:
        fields = msgspec.convert(document, _GoalDocument)
    except msgspec.ValidationError as error:
        raise InvalidRequest(describe_problem(error, "goal", _GoalDocument)) from None
    exposure = _parse_exposure(fields.exposure)
    parse_duration(fields.within)
    goal = Goal(exposure, fields.goal, fields.within, fields.from_, fields.to)
    assert goal.event_funnel  # raises InvalidRequest for bounds that are not instants
    return goal


def _parse_exposure(document: dict[str, Any]) -> EventStep | MessageExposure:
    kind: type[EventStep | MessageExposure] = EventStep if "event" in document else MessageExposure
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(describe_problem(error, "goal", kind, "/exposure")) from None
