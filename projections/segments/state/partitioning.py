"""Shares out what happens to many people: while the server writes one part, the next is gone through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from domain.evaluation.inputs import Became, Did, Said, Step
from domain.evaluation.membership_state import Standing
from domain.evaluation.profile_context import Stream
from projections.segments.state.reader import Kept

EACH = 500
"""Steps for which a part is worth its statements, which take the server a millisecond or two."""

MOST = 8
"""Parts of a batch."""


def shares(
    kept: Kept, became: Sequence[Became], steps: Sequence[Did | Said]
) -> Iterator[tuple[Kept, Sequence[Step]]]:
    """Share people out, each with all that happens to them; those together who may come to be one person."""
    number = max(1, min(MOST, len(steps) // EACH))
    streams: list[dict[UUID, Stream]] = [{} for _ in range(number)]
    standings: list[dict[UUID, Standing]] = [{} for _ in range(number)]
    theirs: list[list[Step]] = [list(became), *([] for _ in range(number - 1))]
    tied = _tied(kept, became)

    def part(person: UUID) -> int:
        return 0 if tied and person in tied else person.int % number

    for id_, stream in kept.streams.items():
        streams[part(stream.whose.person)][id_] = stream
    for id_, standing in kept.standings.items():
        standings[part(id_)][id_] = standing
    for step in steps:
        known = kept.streams.get(step.stream)
        theirs[part(step.stream if known is None else known.whose.person)].append(step)
    for some, where, what in zip(streams, standings, theirs, strict=True):
        runs = {it: kept.runs[it] for it in kept.runs.keys() & some.keys()}
        yield (
            kept._replace(streams=some, standings=where, runs=runs),
            sorted(what, key=lambda step: step.at.by),
        )


def _tied(kept: Kept, became: Sequence[Became]) -> set[UUID]:
    """Return the persons that are, were or will be those of streams of which it is told whose they are."""
    tied = set[UUID]()
    for each in became:
        for id_, whose in each.whose.items():
            known = kept.streams.get(id_)
            tied |= {id_, whose.person} | ({known.whose.person} if known is not None else set())
    return tied
