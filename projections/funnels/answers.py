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
from domain.funnels.tally import Tally
from projections.funnels.walking import Gone, gone
from projections.kit.instants import shown
from projections.runtime.projection import Reader

MOST_VALUES = 100
"""Values that a breakdown tells apart, those of most people; the others are left out."""


def count(reader: Reader, funnel: Funnel, clock: datetime) -> dict[str, Any]:
    """Return how many people took each step by the clock."""
    steps = len(funnel.steps)
    everybody = Tally(steps)
    by_value: dict[bytes, Tally] = {}
    for _, times, value in gone(reader, funnel, clock):
        everybody.add(times)
        if funnel.breakdown is not None:
            key = msgspec.json.encode(value, order="deterministic")
            by_value.setdefault(key, Tally(steps)).add(times)
    answer: dict[str, Any] = {"steps": _steps(funnel, everybody)}
    if funnel.breakdown is not None:
        largest = sorted(by_value.items(), key=lambda it: (-it[1].began, it[0]))
        answer["breakdown"] = [
            {"value": msgspec.Raw(key), "steps": _steps(funnel, tally)}
            for key, tally in largest[:MOST_VALUES]
        ]
        answer["values"] = len(largest)
    return answer


def _steps(funnel: Funnel, tally: Tally) -> list[dict[str, Any]]:
    return [
        {"event": step.event, **counted._asdict()}
        for step, counted in zip(funnel.steps, tally.counted(), strict=True)
    ]


def people(
    reader: Reader,
    everybody: Iterator[Gone],
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
    found = list(islice(_there(everybody, step, lost), limit + 1))
    page = found[:limit]
    return _shown(reader, page), page[-1].person if len(found) > limit else None


def _there(everybody: Iterator[Gone], step: int, lost: bool) -> Iterator[Gone]:
    return (it for it in everybody if len(it.times) == step or (len(it.times) > step and not lost))


def _shown(reader: Reader, page: Sequence[Gone]) -> list[dict[str, Any]]:
    names = reader.names(reader.persons(it.person for it in page).values())
    return [
        {
            "profile_id": it.person,
            "identifiers": [one._asdict() for one in names.get(it.person, ())],
            "times": [shown(from_micros(at)) for at in it.times],
        }
        for it in page
    ]
