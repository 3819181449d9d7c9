"""What concerns nobody in particular finds its audience, whatever people did before anybody asked for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.events.rule_events import RuleDefined, RuleEnabled
from tests.builders import tracked
from tests.fix_segments import Kept
from tests.rule_history import RULE, TAG, decree, triggers_of
from tests.segment_history import NAMES, START, Decided, Said, at, defined, ledger

BOUGHT = {"event": "bought"}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("audience", [BOUGHT, {"segment": "buyers"}])
def test_an_audience_has_who_did_it_before_the_rule_was_there(
    kept: Kept, audience: Any, size: int
) -> None:
    plan = {
        "trigger": {"system_event": "sale"},
        "audience": audience,
        "actions": TAG,
    }
    made = RuleDefined(
        id=UUID(int=0), rule=RULE, name=RULE, plan=msgspec.json.encode(plan), occurred_at=START
    )
    buyer, other = NAMES[:2]
    history = [
        Said(0, tracked("bought", buyer, occurred_at=at(0))),
        Said(0, tracked("looked", other, occurred_at=at(0))),
        Said(1, defined("buyers", BOUGHT)),
        Said(1, Decided(made, UUID(int=8))),
        Said(1, decree(RuleEnabled, 2)),
        Said(2, tracked("sale", identifiers=(), occurred_at=at(2))),
    ]
    records = [it._replace(version=at_) for at_, it in enumerate(ledger(history), 1)]
    outcomes = triggers_of(kept, kept.project(records, size))
    assert [outcome for outcome, _ in outcomes.values()] == ["fired"]
