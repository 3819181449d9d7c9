"""Groups: which part decides them, and when that may change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.conditions import EvaluationInput, ProfileFacts, parse_condition
from tests.unit.conditions.profile_histories import NOON, Profile, did

MINUTE = timedelta(minutes=1)
NEVER = {"event": "died"}
WITHIN_1M = {"event": "bought", "within": {"last": "1m"}}
WITHIN_5M = {"event": "bought", "within": {"last": "5m"}}
NOT_WITHIN_1M = {"event": "bought", "within": {"last": "1m"}, "count": {"exactly": 0}}
NOT_WITHIN_5M = {"event": "bought", "within": {"last": "5m"}, "count": {"exactly": 0}}
IS_VIP = {"tag": "vip"}
BUYER = Profile(did("bought"))


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        ({"all": [WITHIN_1M, WITHIN_5M]}, 1),
        ({"all": [WITHIN_1M, NEVER]}, None),
        ({"all": [NOT_WITHIN_1M, NOT_WITHIN_5M]}, 5),
        ({"all": [NOT_WITHIN_1M, WITHIN_5M]}, 1),
        ({"any": [WITHIN_1M, WITHIN_5M]}, 5),
        ({"any": [WITHIN_1M, {"event": "bought"}]}, None),
        ({"any": [NOT_WITHIN_1M, NOT_WITHIN_5M]}, 1),
        ({"none": [WITHIN_1M, WITHIN_5M]}, 5),
        ({"none": [NOT_WITHIN_1M, NOT_WITHIN_5M]}, 1),
        ({"none": []}, None),
    ],
)
def test_a_group_changes_no_sooner_than_all_its_decisive_parts(document, changes) -> None:
    expected = None if changes is None else NOON + changes * MINUTE
    assert BUYER.changes_at(document, NOON) == expected


@pytest.mark.parametrize(
    ("document", "result"),
    [
        ({"all": [NEVER, IS_VIP]}, False),
        ({"any": [{"none": [NEVER]}, IS_VIP]}, True),
        ({"none": [{"none": [NEVER]}, IS_VIP]}, False),
    ],
)
def test_no_part_is_evaluated_after_one_that_decides_for_good(document, result) -> None:
    def load_facts() -> ProfileFacts:
        raise AssertionError("the group was decided without it")

    evaluate = parse_condition(document).compile()
    assert evaluate(EvaluationInput({}, load_facts), 0) == (result, None)
