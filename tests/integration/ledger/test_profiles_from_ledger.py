"""Identity of profiles from the ledger alone, now and as of a position."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.identifiers import Identifier
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

ANN, BOB = user("ann"), user("bob")


def identifiers(bench: Bench, identifier: Identifier, until: int | None = None) -> set[str]:
    stream = bench.ledger.stream_of(bench.workspace, identifier)
    bound = () if until is None else (until,)
    profile = bench.ledger.profile(bench.workspace, stream, *bound)
    return {str(identifier) for identifier in profile.identifiers}


def test_a_link_is_seen_from_either_end(bench: Bench) -> None:
    bench.record(tracked("Viewed", ANN, anonymous()))
    both = {"user_id:ann", "anonymous_id:a-1"}
    assert identifiers(bench, ANN) == identifiers(bench, anonymous()) == both


def test_a_merge_is_known_from_its_position_on_and_undone_by_an_unmerge(bench: Bench) -> None:
    first = bench.record(tracked("Viewed", ANN), tracked("Viewed", BOB)).position
    second = bench.record(merged(ANN, BOB, occurred_at=NOON)).position
    third = bench.record(unmerged(BOB, ANN, occurred_at=NOON + timedelta(seconds=1))).position
    both = {"user_id:ann", "user_id:bob"}
    assert identifiers(bench, BOB, first) == set()
    assert identifiers(bench, BOB, second) == identifiers(bench, ANN, second) == both
    assert identifiers(bench, BOB, third) == {"user_id:bob"}


def test_profiles_without_a_common_identifier_stay_separate(bench: Bench) -> None:
    bench.record(tracked("Viewed", ANN, anonymous("a")), tracked("Viewed", BOB, anonymous("b")))
    assert identifiers(bench, ANN) == {"user_id:ann", "anonymous_id:a"}
    stream = bench.ledger.stream_of(bench.workspace, user("unknown"))
    assert bench.ledger.profile(bench.workspace, stream).streams == (stream,)
