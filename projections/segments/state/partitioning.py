"""Shares out what happens to many people: while the server writes one part, the next is gone through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamState
from projections.segments.state.reader import LoadedState

STEPS_PER_PARTITION = 500
"""Steps for which a part is worth its statements, which take the server a millisecond or two."""

MAX_PARTITIONS = 8
"""Parts of a batch."""


def partition(
    state: LoadedState,
    identity_changes: Sequence[IdentityChange],
    inputs: Sequence[EventInput | ListChange],
) -> Iterator[tuple[LoadedState, Sequence[EngineInput]]]:
    """Share people out, each with all that happens to them; those together who may come to be one person."""
    number = max(1, min(MAX_PARTITIONS, len(inputs) // STEPS_PER_PARTITION))
    streams: list[dict[UUID, StreamState]] = [{} for _ in range(number)]
    standings: list[dict[UUID, MembershipState]] = [{} for _ in range(number)]
    theirs: list[list[EngineInput]] = [list(identity_changes), *([] for _ in range(number - 1))]
    tied = _linked_profiles(state, identity_changes)

    def partition_of(profile: UUID) -> int:
        return 0 if tied and profile in tied else profile.int % number

    for id_, stream in state.streams.items():
        streams[partition_of(stream.owner.profile_id)][id_] = stream
    for id_, standing in state.membership_states.items():
        standings[partition_of(id_)][id_] = standing
    for step in inputs:
        known = state.streams.get(step.stream)
        theirs[partition_of(step.stream if known is None else known.owner.profile_id)].append(step)
    for some, where, what in zip(streams, standings, theirs, strict=True):
        runs = {it: state.waiting_runs[it] for it in state.waiting_runs.keys() & some.keys()}
        yield (
            state._replace(streams=some, membership_states=where, waiting_runs=runs),
            sorted(what, key=lambda step: step.cause.position),
        )


def _linked_profiles(state: LoadedState, identity_changes: Sequence[IdentityChange]) -> set[UUID]:
    """Return the persons that are, were or will be those of streams of which it is told whose they are."""
    tied = set[UUID]()
    for each in identity_changes:
        for id_, whose in each.owners.items():
            known = state.streams.get(id_)
            tied |= {id_, whose.profile_id} | (
                {known.owner.profile_id} if known is not None else set()
            )
    return tied
