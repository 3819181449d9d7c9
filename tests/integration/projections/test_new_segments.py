"""Who is told by the server not to be in a new segment may enter it by itself: when something leaves the window."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from domain.conditions import parse_condition
from domain.core.time import to_micros
from projections.segments import tables
from projections.segments.backfill import bulk
from tests.builders import tracked, unmerged
from tests.fix_segments import Kept
from tests.integration.projections.history import stream_of
from tests.oracles.membership import members
from tests.segment_history import NAMES, Said, archived, at, defined, ledger

WITHIN = {"event": "paid", "within": {"last": "5m"}}
SUM = {"fn": "sum", "path": "properties.n", "op": "gte", "value": 1}
MAX = {"fn": "max", "path": "properties.n", "op": "lt", "value": 3}


def test_a_number_is_what_is_read_of_it_not_its_digits(kept: Kept) -> None:
    payload = b'{"type":"track","event":"paid","properties":{"n":0.30000000000000001}}'
    paid = msgspec.structs.replace(tracked("paid", NAMES[0], occurred_at=at(0)), payload=payload)
    more = {"fn": "sum", "path": "properties.n", "op": "gt", "value": 0.3}
    equal = {"path": "properties.n", "op": "eq", "value": 0.3}
    history = [
        Said(0, paid),
        Said(4, defined("more", {"event": "paid", "aggregate": more})),
        Said(4, defined("equal", {"event": "paid", "where": [equal]})),
    ]
    stays = kept.stays(kept.project(ledger(history), 100))
    assert [it.segment for it in stays] == ["equal"]


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        (WITHIN | {"count": {"exactly": 1}}, 1),
        (WITHIN | {"aggregate": SUM}, -3),
        (WITHIN | {"aggregate": MAX}, 9),
        ({"all": [WITHIN, {"none": [WITHIN | {"count": {"at_least": 2}}]}]}, 1),
    ],
)
def test_what_leaves_the_window_lets_somebody_enter(kept: Kept, condition: Any, first: int) -> None:
    payer = NAMES[0]
    history = [
        Said(0, tracked("paid", payer, properties={"n": first}, occurred_at=at(0))),
        Said(3, tracked("paid", payer, properties={"n": 2}, occurred_at=at(3))),
        Said(4, defined("asked", condition)),
    ]
    assert bulk.compile_members_query(parse_condition(condition), to_micros(at(4))) is not None
    stays = kept.stays(kept.project(ledger(history), 100))
    inside = [bool(members(stays, "asked", to_micros(at(it)))) for it in (4, 4.9, 5, 7.9, 8)]
    assert inside == [False, False, True, True, False]
    assert {it.person for it in stays} == {stream_of(payer)}


@pytest.mark.parametrize(
    ("condition", "waits"),
    [
        ({"all": [WITHIN, {"none": [{"event": "gone"}]}]}, False),
        ({"all": [WITHIN, {"none": [{"event": "gone", "within": {"last": "9m"}}]}]}, True),
        ({"all": [{"none": [WITHIN]}, {"event": "gone"}]}, True),
        ({"all": [WITHIN | {"count": {"at_most": 0}}, {"event": "gone"}]}, True),
        ({"all": [WITHIN, {"event": "gone", "count": {"at_least": 2}}]}, False),
    ],
)
def test_only_who_may_enter_by_itself_waits_to_be_asked(
    kept: Kept, condition: Any, waits: bool
) -> None:
    history = [
        Said(0, tracked("paid", NAMES[0], occurred_at=at(0))),
        Said(1, tracked("gone", NAMES[0], occurred_at=at(1))),
        Said(2, defined("asked", condition)),
    ]
    kept.feed.workspaces[1] = list(ledger(history))
    kept.projector.catch_up(1)
    with kept.engine.connect() as tx:
        due = tx.execute(select(tables.membership_state.c.due)).scalars().all()
    assert not kept.stays(1)
    assert [it is not None for it in due] == ([True] if waits else [])


@pytest.mark.parametrize("is_gone", [False, True])
def test_of_whom_nothing_is_said_nothing_is_written_however_batches_are_cut(
    kept: Kept, is_gone: bool
) -> None:
    """A fact of before names somebody together with one of the batch's: so they are loaded, or not."""
    user, other, email, second, _, visitor = NAMES
    asked = {"all": []} if is_gone else {"event": "paid"}
    history = [
        Said(0, unmerged(email, user, occurred_at=at(0))),
        Said(0, tracked("paid", user, occurred_at=at(0))),
        *([Said(0, tracked("came", email, occurred_at=at(0)))] if is_gone else []),
        Said(1, defined("asked", asked)),
        *([Said(2, archived("asked"))] if is_gone else []),
        Said(3, tracked("alias", user, kind="alias", absorbs=(second, visitor), occurred_at=at(3))),
        Said(3, unmerged(other, other, occurred_at=at(3))),
        Said(3, tracked("paid", user, occurred_at=at(3))),
    ]
    records = ledger(history)
    whole, by_ones = (kept.rows(kept.project(records, size)) for size in (100, 1))
    assert whole == by_ones
