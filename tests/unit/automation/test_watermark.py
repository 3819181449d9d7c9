"""The firing watermark: which firings are new, and up to where none is left to record."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from application.automation.firing import DueFirings, next_watermark, select_new
from domain.evaluation.rule_runs import DueFiring, TriggerContext

LIMIT = 3


def firing(at: int) -> DueFiring:
    context = TriggerContext("event", "order", "2026-01-01T00:00:00Z", {})
    return DueFiring("r", 1, f"{at}", UUID(int=1), UUID(int=1), "at_once", at, context, b"{}")


def firings(*instants: int) -> Sequence[DueFiring]:
    return [firing(at) for at in instants]


def test_only_firings_that_are_not_recorded_are_new() -> None:
    due = firings(5, 6, 7)
    assert select_new(due, frozenset()) == due
    assert select_new(due, frozenset({due[1].key})) == [due[0], due[2]]


@pytest.mark.parametrize(
    ("instants", "complete_until", "expected"),
    [
        pytest.param([], 40, 40, id="nothing due: where the read model is complete"),
        pytest.param([20, 30], 40, 40, id="all found: where the read model is complete"),
        pytest.param([20, 30], 25, 30, id="a later firing was found: its instant"),
        pytest.param([20, 30, 35], 40, 35, id="more may be left: the last that was found"),
        pytest.param([], 5, 10, id="a read model that is behind does not move it back"),
        pytest.param([], 0, 10, id="a read model without events does not move it back"),
    ],
)
def test_the_watermark_reaches_what_is_recorded_or_known_to_be_complete(
    instants: list[int], complete_until: int, expected: int
) -> None:
    due = firings(*instants)
    assert next_watermark(10, DueFirings(due, complete_until), due, LIMIT) == expected


def test_a_full_page_of_recorded_firings_does_not_move_the_watermark() -> None:
    due = firings(20, 30, 35)
    assert next_watermark(10, DueFirings(due, 40), [], LIMIT) == 10
