"""Partitions of a batch are complete and disjoint; an error in one rolls the batch back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from domain.conditions import EventView
from domain.core.ledger_time import Cause
from domain.evaluation.inputs import EventInput, IdentityChange
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamOwner, StreamState
from projections.segments import tables
from projections.segments.state import partitioning, reader
from tests.builders import tracked, user
from tests.fix_segments import SegmentBench
from tests.segment_history import HistoryEntry, at, defined, ledger

IDS = [UUID(int=number) for number in range(12)]
OWNERS = st.dictionaries(st.sampled_from(IDS), st.sampled_from(IDS), min_size=1, max_size=4)


def event_input(position: int, stream: UUID) -> EventInput:
    event = EventView(position, position.to_bytes(16), "a", {})
    return EventInput(Cause(position, position), stream, "user_id", "track", event)


def identity_change(position: int, profiles: Mapping[UUID, UUID]) -> IdentityChange:
    owners = {stream: StreamOwner(profile, "x") for stream, profile in profiles.items()}
    return IdentityChange(Cause(position, position), owners)


@given(
    profile_of=st.dictionaries(st.sampled_from(IDS), st.sampled_from(IDS)),
    events=st.lists(st.sampled_from(IDS), max_size=30),
    facts=st.lists(OWNERS, max_size=3),
)
def test_every_profile_is_in_one_partition_with_all_of_its_inputs(
    profile_of, events, facts
) -> None:
    streams = {id_: StreamState(StreamOwner(owner, "x")) for id_, owner in profile_of.items()}
    states = {owner: MembershipState() for owner in profile_of.values()}
    inputs = [event_input(number, stream) for number, stream in enumerate(events, 1)]
    changes = [identity_change(100 * number, owners) for number, owners in enumerate(facts)]
    loaded = reader.LoadedState(streams, states, {}, (), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitioning, "INPUTS_PER_PARTITION", 1)
        partitions = list(partitioning.partition(loaded, changes, inputs))

    assert Counter(id_ for part, _ in partitions for id_ in part.streams) == Counter([*streams])
    assert Counter(id_ for part, _ in partitions for id_ in part.membership_states) == Counter(
        [*states]
    )
    positions = [entry.cause.position for _, part_inputs in partitions for entry in part_inputs]
    assert sorted(positions) == sorted(entry.cause.position for entry in [*changes, *inputs])
    for part, part_inputs in partitions:
        positions = [entry.cause.position for entry in part_inputs]
        assert positions == sorted(positions)
        owners = {stream.owner.profile_id for stream in part.streams.values()}
        assert owners == part.membership_states.keys()
        changed = [entry.owners for entry in part_inputs if isinstance(entry, IdentityChange)]
        new_owners = {owner.profile_id for change in changed for owner in change.values()}
        for other in (other for other, _ in partitions if other is not part):
            assert other.streams.keys().isdisjoint(set().union(*changed))
            assert other.membership_states.keys().isdisjoint(new_owners)


def test_an_error_in_a_partition_is_raised_and_rolls_the_batch_back(
    segment_bench: SegmentBench,
) -> None:
    history = [HistoryEntry(0, defined("s", {"event": "paid"}))]
    history += [
        HistoryEntry(number, tracked("paid", user(f"u-{number}"), occurred_at=at(number)))
        for number in range(1, 20)
    ]
    segment_bench.feed.workspaces[1], alter = ledger(history), f"ALTER TABLE {tables.member}"
    with segment_bench.engine.begin() as tx:
        tx.execute(text(f"{alter} ADD CONSTRAINT not_ten CHECK (entered_position <> 10)"))
    with pytest.raises(psycopg.errors.CheckViolation, match="not_ten"):
        segment_bench.projector.catch_up(1)
    assert segment_bench.intervals(1) == []

    with segment_bench.engine.begin() as tx:
        tx.execute(text(f"{alter} DROP CONSTRAINT not_ten"))
    segment_bench.projector.catch_up(1)
    assert len(segment_bench.intervals(1)) == 19
