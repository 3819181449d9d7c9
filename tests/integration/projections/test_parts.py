"""People in parts: whatever is wrong with one part, nothing of the batch is kept."""

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
from tests.fix_segments import Kept
from tests.segment_history import Said, at, defined, ledger

IDS = [UUID(int=it) for it in range(12)]
TELLING = st.dictionaries(st.sampled_from(IDS), st.sampled_from(IDS), min_size=1, max_size=4)


def did(position: int, stream: UUID) -> EventInput:
    happened = EventView(position, position.to_bytes(16), "a", {})
    return EventInput(Cause(position, position), stream, "user_id", "track", happened)


def became(position: int, persons: Mapping[UUID, UUID]) -> IdentityChange:
    return IdentityChange(
        Cause(position, position), {it: StreamOwner(to, "x") for it, to in persons.items()}
    )


@given(
    whose=st.dictionaries(st.sampled_from(IDS), st.sampled_from(IDS)),
    events=st.lists(st.sampled_from(IDS), max_size=30),
    facts=st.lists(TELLING, max_size=3),
)
def test_everybody_is_in_one_part_with_all_that_happens_to_them(whose, events, facts) -> None:
    streams = {it: StreamState(StreamOwner(to, "x")) for it, to in whose.items()}
    standings = {it: MembershipState() for it in whose.values()}
    steps = [did(number, it) for number, it in enumerate(events, 1)]
    told = [became(100 * number, it) for number, it in enumerate(facts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitioning, "STEPS_PER_PARTITION", 1)
        found = list(
            partitioning.partition(reader.LoadedState(streams, standings, {}, (), {}), told, steps)
        )

    assert Counter(it for some, _ in found for it in some.streams) == Counter([*streams])
    assert Counter(it for some, _ in found for it in some.membership_states) == Counter(
        [*standings]
    )
    taken = [it.cause.position for _, what in found for it in what]
    assert sorted(taken) == sorted(it.cause.position for it in [*told, *steps])
    for some, what in found:
        assert [it.cause.position for it in what] == sorted(it.cause.position for it in what)
        assert {
            it.owner.profile_id for it in some.streams.values()
        } == some.membership_states.keys()
        told_here = [it.owners for it in what if isinstance(it, IdentityChange)]
        concerned = {to.profile_id for it in told_here for to in it.values()}
        for other in (it for it, _ in found if it is not some):
            assert other.streams.keys().isdisjoint(set().union(*told_here))
            assert other.membership_states.keys().isdisjoint(concerned)


def test_what_goes_wrong_in_a_part_is_told_and_nothing_of_the_batch_is_kept(kept: Kept) -> None:
    history = [Said(0, defined("s", {"event": "paid"}))]
    history += [
        Said(number, tracked("paid", user(f"u-{number}"), occurred_at=at(number)))
        for number in range(1, 20)
    ]
    kept.feed.workspaces[1], alter = ledger(history), f"ALTER TABLE {tables.member}"
    with kept.engine.begin() as tx:
        tx.execute(text(f"{alter} ADD CONSTRAINT odd CHECK (entered_by <> 10)"))
    with pytest.raises(psycopg.errors.CheckViolation, match="odd"):
        kept.projector.catch_up(1)
    assert kept.stays(1) == []

    with kept.engine.begin() as tx:
        tx.execute(text(f"{alter} DROP CONSTRAINT odd"))
    kept.projector.catch_up(1)
    assert len(kept.stays(1)) == 19
