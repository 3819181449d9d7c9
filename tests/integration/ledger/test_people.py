"""Who is who from the ledger alone, now and at a position of the past."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.identifiers import Identifier
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

ANN, BOB = user("ann"), user("bob")


def names(bench: Bench, identifier: Identifier, until: int | None = None) -> set[str]:
    stream = bench.ledger.stream_of(bench.workspace, identifier)
    bound = () if until is None else (until,)
    return {str(it) for it in bench.ledger.profile(bench.workspace, stream, *bound).identifiers}


def test_a_link_is_seen_from_either_end(bench: Bench) -> None:
    bench.record(tracked("Viewed", ANN, anonymous()))
    both = {"user_id:ann", "anonymous_id:a-1"}
    assert names(bench, ANN) == names(bench, anonymous()) == both


def test_a_merge_is_known_from_its_position_on_and_undone_by_an_unmerge(bench: Bench) -> None:
    first = bench.record(tracked("Viewed", ANN), tracked("Viewed", BOB)).position
    second = bench.record(merged(ANN, BOB, occurred_at=NOON)).position
    third = bench.record(unmerged(BOB, ANN, occurred_at=NOON + timedelta(seconds=1))).position
    both = {"user_id:ann", "user_id:bob"}
    assert names(bench, BOB, first) == set()
    assert names(bench, BOB, second) == names(bench, ANN, second) == both
    assert names(bench, BOB, third) == {"user_id:bob"}


def test_people_who_share_nothing_stay_apart(bench: Bench) -> None:
    bench.record(tracked("Viewed", ANN, anonymous("a")), tracked("Viewed", BOB, anonymous("b")))
    assert names(bench, ANN) == {"user_id:ann", "anonymous_id:a"}
    stream = bench.ledger.stream_of(bench.workspace, user("nobody"))
    assert bench.ledger.profile(bench.workspace, stream).streams == (stream,)
