"""Partitions a batch by profile: the server writes one part while the next is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamState
from projections.segments.state.reader import LoadedState

INPUTS_PER_PARTITION = 500
"""Inputs that justify the statements of one more partition, which take the server 1 or 2 ms."""

MAX_PARTITIONS = 8
"""Maximum partitions of a batch."""


def partition(
    state: LoadedState,
    identity_changes: Sequence[IdentityChange],
    inputs: Sequence[EventInput | ListChange],
) -> Iterator[tuple[LoadedState, Sequence[EngineInput]]]:
    """Yields parts of the state, each with all inputs of its profiles in ledger order.

    All profiles that an identity change concerns are in the first part, because they may merge.
    """
    count = max(1, min(MAX_PARTITIONS, len(inputs) // INPUTS_PER_PARTITION))
    streams: list[dict[UUID, StreamState]] = [{} for _ in range(count)]
    membership_states: list[dict[UUID, MembershipState]] = [{} for _ in range(count)]
    inputs_of: list[list[EngineInput]] = [list(identity_changes), *([] for _ in range(count - 1))]
    linked = _linked_profiles(state, identity_changes)

    def partition_of(profile: UUID) -> int:
        return 0 if linked and profile in linked else profile.int % count

    for id_, stream in state.streams.items():
        streams[partition_of(stream.owner.profile_id)][id_] = stream
    for id_, membership_state in state.membership_states.items():
        membership_states[partition_of(id_)][id_] = membership_state
    for entry in inputs:
        known = state.streams.get(entry.stream)
        profile = entry.stream if known is None else known.owner.profile_id
        inputs_of[partition_of(profile)].append(entry)
    for part_streams, part_states, part_inputs in zip(
        streams, membership_states, inputs_of, strict=True
    ):
        runs = {
            id_: state.waiting_runs[id_] for id_ in state.waiting_runs.keys() & part_streams.keys()
        }
        yield (
            state._replace(streams=part_streams, membership_states=part_states, waiting_runs=runs),
            sorted(part_inputs, key=lambda entry: entry.cause.position),
        )


def _linked_profiles(state: LoadedState, identity_changes: Sequence[IdentityChange]) -> set[UUID]:
    """Returns the old and new profiles of all streams in identity changes, and the streams' ids."""
    linked = set[UUID]()
    for change in identity_changes:
        for id_, owner in change.owners.items():
            linked |= {id_, owner.profile_id}
            if (known := state.streams.get(id_)) is not None:
                linked.add(known.owner.profile_id)
    return linked
