"""Groups: what decides them, and when that may change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.conditions import EvaluationInput, ProfileFacts, parse_condition
from tests.unit.conditions.asking import NOON, Person, did

MINUTE = timedelta(minutes=1)
NEVER = {"event": "died"}
SHORTLY = {"event": "bought", "within": {"last": "1m"}}
FOR_LONGER = {"event": "bought", "within": {"last": "5m"}}
NOT_SHORTLY = {"event": "bought", "within": {"last": "1m"}, "count": {"exactly": 0}}
NOT_FOR_LONGER = {"event": "bought", "within": {"last": "5m"}, "count": {"exactly": 0}}
IS_VIP = {"tag": "vip"}
ANN = Person(did("bought"))


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        ({"all": [SHORTLY, FOR_LONGER]}, 1),
        ({"all": [SHORTLY, NEVER]}, None),
        ({"all": [NOT_SHORTLY, NOT_FOR_LONGER]}, 5),
        ({"all": [NOT_SHORTLY, FOR_LONGER]}, 1),
        ({"any": [SHORTLY, FOR_LONGER]}, 5),
        ({"any": [SHORTLY, {"event": "bought"}]}, None),
        ({"any": [NOT_SHORTLY, NOT_FOR_LONGER]}, 1),
        ({"none": [SHORTLY, FOR_LONGER]}, 5),
        ({"none": [NOT_SHORTLY, NOT_FOR_LONGER]}, 1),
        ({"none": []}, None),
    ],
)
def test_a_group_changes_no_sooner_than_all_that_decide_it(document, changes) -> None:
    expected = None if changes is None else NOON + changes * MINUTE
    assert ANN.changes(document, NOON) == expected


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"all": [NEVER, IS_VIP]}, False),
        ({"any": [{"none": [NEVER]}, IS_VIP]}, True),
        ({"none": [{"none": [NEVER]}, IS_VIP]}, False),
    ],
)
def test_nobody_is_asked_after_one_that_decides_for_good(document, answer) -> None:
    def told() -> ProfileFacts:
        raise AssertionError("it was decided without")

    asked = parse_condition(document).compile()
    assert asked(EvaluationInput({}, told), 0) == (answer, None)
