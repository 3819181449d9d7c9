"""No definition that anybody can write keeps a workspace's segments from going on."""

from __future__ import annotations

from typing import Any

import pytest

from domain.core.time import to_micros
from tests.builders import merged, tracked, unmerged
from tests.fix_segments import Kept
from tests.integration.projections.history import stream_of
from tests.oracles.membership import members
from tests.segment_history import NAMES, Said, archived, at, defined, ledger

NUL = "a\0"
DEEP = "properties" + ".a" * 6_000
ALWAYS = {"event": "a", "count": {"at_least": 0}}

EQUALS = {"path": "properties.n", "op": "eq", "value": 1}


def paid(path: str, value: Any) -> dict[str, Any]:
    return {"event": "paid", "where": [{"path": path, "op": "eq", "value": value}]}


@pytest.mark.parametrize(
    "condition",
    [
        {"event": NUL},
        {"event": NUL, "occurrence": "last", "older_than": "1m"},
        {"event": NUL, "where": [{"path": "properties.n", "op": "exists"}]},
        {"event": {"matching": NUL + "*"}},
        {"sequence": [{"event": NUL}, {"event": "b"}]},
        paid('properties["\\u0000"]', "x"),
        paid('properties["\\ud800"]', "x"),
        paid("properties.n", NUL),
        paid(DEEP, 1),
        {"event": "paid", "where": [EQUALS] * 1_700},
        {"event": "paid", "within": {"to": "0001-01-01T00:00:00+14:00"}},
        {"event": "paid", "within": {"from": "9999-12-31T23:59:59-14:00"}},
        {"event": "paid", "aggregate": {"fn": "sum", "path": DEEP, "op": "gt", "value": 1}},
        {"all": [{"event": "paid"}, *[{"event": f"e{n}"} for n in range(300)]]},
    ],
    ids=lambda it: repr(it)[:40],
)
def test_a_condition_that_nobody_meets_holds_up_nothing(kept: Kept, condition: Any) -> None:
    history = [
        Said(0, tracked("paid", NAMES[0], occurred_at=at(0))),
        Said(4, defined("odd", condition)),
        Said(5, tracked("paid", NAMES[0], occurred_at=at(5))),
        Said(6, defined("buyers", {"event": "paid", "count": {"at_least": 2}})),
    ]
    stays = kept.stays(kept.project(ledger(history), 100))
    assert not members(stays, "odd", to_micros(at(7)))
    assert members(stays, "buyers", to_micros(at(7))) == {stream_of(NAMES[0])}


def test_what_is_forgotten_within_a_batch_leaves_as_little_as_from_batch_to_batch(
    kept: Kept,
) -> None:
    spent = {"event": "paid", "within": {"last": "5m"}} | {
        "aggregate": {"fn": "sum", "path": "properties.n", "op": "gte", "value": 1}
    }
    history = [
        Said(0, defined("spenders", spent)),
        Said(1, tracked("paid", NAMES[0], properties={"n": 5}, occurred_at=at(1))),
        Said(20, tracked("paid", NAMES[0], properties={"n": 5}, occurred_at=at(10))),
    ]
    one, other = (kept.project(ledger(history), size) for size in (1, 100))
    assert kept.rows(one) == kept.rows(other)


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("first", ["define", "unmerge"])
def test_who_becomes_somebody_again_has_left_what_was_archived(
    kept: Kept, first: str, size: int
) -> None:
    user, visitor = NAMES[0], NAMES[4]
    last = [Said(4, defined("new", ALWAYS)), Said(5, unmerged(user, visitor, occurred_at=at(5)))]
    history = [
        Said(0, defined("old", ALWAYS)),
        Said(1, tracked("a", user, occurred_at=at(1))),
        Said(1, tracked("a", visitor, occurred_at=at(1))),
        Said(2, archived("old")),
        Said(3, merged(visitor, user, occurred_at=at(3))),
        *(last if first == "define" else [it._replace(minute=5) for it in reversed(last)]),
        Said(6, tracked("a", user, occurred_at=at(6))),
    ]
    stays = kept.stays(kept.project(ledger(history), size))
    both = {stream_of(user), stream_of(visitor)}
    assert members(stays, "new", to_micros(at(7))) == both
    assert not members(stays, "old", to_micros(at(7)))
