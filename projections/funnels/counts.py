"""Results of funnels: how many profiles reached each step, and which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.time import format_utc
from domain.funnels.funnel import Funnel
from domain.funnels.tally import FunnelTally
from projections.funnels.profile_walks import ProfileWalk, walk_profiles
from projections.runtime.ports import ProfilePort

MAX_BREAKDOWN_VALUES = 100
"""Values that a breakdown shows: those of most profiles; the others are left out."""


def count_funnel(reader: ProfilePort, funnel: Funnel, clock: datetime) -> dict[str, Any]:
    """Returns how many profiles reached each step by the clock, as JSON.

    ``values`` is the number of values of a breakdown, those left out included.
    """
    steps = len(funnel.steps)
    total = FunnelTally(steps)
    by_value: dict[bytes, FunnelTally] = {}
    for _, times, value in walk_profiles(reader, funnel, clock):
        total.add(times)
        if funnel.breakdown is not None:
            key = msgspec.json.encode(value, order="deterministic")
            by_value.setdefault(key, FunnelTally(steps)).add(times)
    answer: dict[str, Any] = {"steps": _steps(funnel, total)}
    if funnel.breakdown is not None:
        largest = sorted(by_value.items(), key=lambda item: (-item[1].started, item[0]))
        answer["breakdown"] = [
            {"value": msgspec.Raw(key), "steps": _steps(funnel, tally)}
            for key, tally in largest[:MAX_BREAKDOWN_VALUES]
        ]
        answer["values"] = len(largest)
    return answer


def _steps(funnel: Funnel, tally: FunnelTally) -> list[dict[str, Any]]:
    return [
        {"event": step.event, **count._asdict()}
        for step, count in zip(funnel.steps, tally.step_counts(), strict=True)
    ]


def list_profiles_at_step(
    reader: ProfilePort,
    walks: Iterator[ProfileWalk],
    steps: int,
    *,
    step: int,
    lost: bool,
    limit: int,
) -> tuple[list[dict[str, Any]], UUID | None]:
    """Returns a page of the profiles that reached a step (1 is the first), as JSON.

    ``steps`` is the number of steps of the funnel.  ``lost``: only profiles that did not reach the next
    step.  The second value is the id of the page's last profile if there are more, else None.  Raises
    InvalidRequest if there is no such step.
    """
    if not 1 <= step <= steps - lost:
        raise InvalidRequest(
            f"`step` must be from 1 to {steps}; `lost` needs a step before the last", step=step
        )
    matches = list(islice(_at_step(walks, step, lost), limit + 1))
    page = matches[:limit]
    return _profile_rows(reader, page), page[-1].profile if len(matches) > limit else None


def _at_step(walks: Iterator[ProfileWalk], step: int, lost: bool) -> Iterator[ProfileWalk]:
    return (
        walk for walk in walks if len(walk.times) == step or (len(walk.times) > step and not lost)
    )


def _profile_rows(reader: ProfilePort, page: Sequence[ProfileWalk]) -> list[dict[str, Any]]:
    identifiers = reader.identifiers(reader.profiles(walk.profile for walk in page).values())
    return [
        {
            "profile_id": walk.profile,
            "identifiers": [
                identifier._asdict() for identifier in identifiers.get(walk.profile, ())
            ],
            "times": [format_utc(at) for at in walk.times],
        }
        for walk in page
    ]
