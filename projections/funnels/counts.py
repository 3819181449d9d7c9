"""What a funnel comes to: how many took which step, and who."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.time import from_micros
from domain.funnels.funnel import Funnel
from domain.funnels.tally import FunnelTally
from projections.funnels.profile_walks import ProfileWalk, walk_profiles
from projections.kit.instants import format_utc
from projections.runtime.projection import Reader

MAX_BREAKDOWN_VALUES = 100
"""Values that a breakdown tells apart, those of most people; the others are left out."""


def count_funnel(reader: Reader, funnel: Funnel, clock: datetime) -> dict[str, Any]:
    """Return how many people took each step by the clock."""
    steps = len(funnel.steps)
    everybody = FunnelTally(steps)
    by_value: dict[bytes, FunnelTally] = {}
    for _, times, value in walk_profiles(reader, funnel, clock):
        everybody.add(times)
        if funnel.breakdown is not None:
            key = msgspec.json.encode(value, order="deterministic")
            by_value.setdefault(key, FunnelTally(steps)).add(times)
    answer: dict[str, Any] = {"steps": _steps(funnel, everybody)}
    if funnel.breakdown is not None:
        largest = sorted(by_value.items(), key=lambda it: (-it[1].started, it[0]))
        answer["breakdown"] = [
            {"value": msgspec.Raw(key), "steps": _steps(funnel, tally)}
            for key, tally in largest[:MAX_BREAKDOWN_VALUES]
        ]
        answer["values"] = len(largest)
    return answer


def _steps(funnel: Funnel, tally: FunnelTally) -> list[dict[str, Any]]:
    return [
        {"event": step.event, **counted._asdict()}
        for step, counted in zip(funnel.steps, tally.step_counts(), strict=True)
    ]


def list_profiles_at_step(
    reader: Reader,
    walks: Iterator[ProfileWalk],
    steps: int,
    *,
    step: int,
    lost: bool,
    limit: int,
) -> tuple[list[dict[str, Any]], UUID | None]:
    """Return who of them took a step (1 is the first), and the last of those if there are more.

    ``lost``: only those who did not take the next one.  Raises InvalidRequest if there is no such step.
    """
    if not 1 <= step <= steps - lost:
        raise InvalidRequest(
            f"the funnel has steps 1 to {steps}, and after the last nobody is lost", step=step
        )
    found = list(islice(_at_step(walks, step, lost), limit + 1))
    page = found[:limit]
    return _profile_rows(reader, page), page[-1].profile if len(found) > limit else None


def _at_step(walks: Iterator[ProfileWalk], step: int, lost: bool) -> Iterator[ProfileWalk]:
    return (it for it in walks if len(it.times) == step or (len(it.times) > step and not lost))


def _profile_rows(reader: Reader, page: Sequence[ProfileWalk]) -> list[dict[str, Any]]:
    names = reader.identifiers(reader.profiles(it.profile for it in page).values())
    return [
        {
            "profile_id": it.profile,
            "identifiers": [one._asdict() for one in names.get(it.profile, ())],
            "times": [format_utc(from_micros(at)) for at in it.times],
        }
        for it in page
    ]
