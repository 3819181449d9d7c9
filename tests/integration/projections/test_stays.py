"""What is written of who is in a segment, and who was: to the row, and no more than has to be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import literal_column, select

from domain.core.time import to_micros
from domain.events.events import ManualListChanged
from projections.segments import tables
from tests.builders import tracked
from tests.fix_segments import Kept, Stay
from tests.integration.projections.history import stream_of, with_payload
from tests.segment_history import NAMES, START, Decided, Said, archived, at, defined, ledger

ANN = NAMES[0]
PAID = {"event": "paid"}


def listed(is_on: bool) -> Decided:
    event = ManualListChanged(id=UUID(int=0), segment="vips", listed=is_on, occurred_at=START)
    return Decided(event, stream_of(ANN))


def paid(minute: int) -> Said:
    return Said(minute, tracked("paid", ANN, occurred_at=at(minute)))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_whoever_leaves_and_comes_back_at_one_instant_has_been_in_it_twice(
    kept: Kept, size: int
) -> None:
    history = [
        Said(0, defined("vips", None)),
        paid(0),
        Said(1, listed(True)),
        Said(1, listed(False)),
        Said(1, listed(True)),
    ]
    workspace, now = kept.project(ledger(history), size), to_micros(at(1))
    assert sorted(kept.stays(workspace), key=lambda it: it.entered_by) == [
        Stay(workspace, "vips", stream_of(ANN), now, 3, now, 4),
        Stay(workspace, "vips", stream_of(ANN), now, 5),
    ]


def person(kept: Kept) -> Any:
    """Return where the one person's row is, and what it says."""
    wanted = select(literal_column("ctid::text"), tables.membership_state.c.inside)
    with kept.engine.connect() as tx:
        return tx.execute(wanted).one()


def test_an_event_that_moves_nobody_leaves_the_person_as_it_was_written(kept: Kept) -> None:
    history = [
        Said(0, defined("often", PAID | {"count": {"at_least": 9}})),
        Said(0, defined("buyers", PAID)),
        Said(0, defined("gone", PAID)),
        *(paid(it) for it in (1, 2)),
        Said(3, archived("gone")),
        *(paid(it) for it in (4, 5)),
    ]
    records, seen = ledger(history), []
    for position in (4, 5, 7, 8):
        kept.feed.workspaces[1] = records[:position]
        kept.projector.catch_up(1)
        seen.append(person(kept))
    first, second, third, fourth = seen
    assert first == second
    assert len(first.inside) == 2 * len(third.inside) == 32, "what is no more is left out"
    assert third == fourth


def test_whom_the_server_let_in_leaves_like_others(kept: Kept) -> None:
    history = [paid(0), Said(1, defined("buyers", PAID | {"within": {"last": "5m"}}))]
    workspace = kept.project(ledger(history), 100)
    times = to_micros(at(1)), 2, to_micros(at(5)), 0
    assert kept.stays(workspace) == [Stay(workspace, "buyers", stream_of(ANN), *times)]


def test_what_comes_to_be_remembered_anew_is_kept_where_it_would_have_been(kept: Kept) -> None:
    """A batch of one forgets the old view when a late one is met, and remembers the last behind the payment."""

    def viewed(minute: int, occurred: float) -> Said:
        message = tracked("viewed", ANN, occurred_at=at(occurred))
        return Said(minute, with_payload(message, {"properties": {"seconds": 1}}))

    most = {"fn": "max", "path": "properties.seconds", "op": "gte", "value": 1}
    viewers = {"event": "viewed", "aggregate": most, "within": {"last": "2m"}}
    history = [
        Said(0, defined("viewers", viewers)),
        Said(0, defined("buyers", PAID)),
        viewed(0, 0),
        paid(1),
        viewed(10, 0.5),
        viewed(11, 11),
    ]
    one, other = (kept.rows(kept.project(ledger(history), size)) for size in (1, 100))
    assert one == other
