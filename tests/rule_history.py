"""Events about one rule, and the outcomes of its runs in the read model."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from domain.events.rule_events import RuleDefined
from projections.segments import tables
from tests.fix_segments import SegmentBench
from tests.segment_history import START, Decision

RULE = "r"
TAG = [{"add_tag": {"tag": "x"}}]


def rule_event(kind, version: int) -> Decision:
    return Decision(kind(id=UUID(int=0), rule=RULE, occurred_at=START), UUID(int=8))


def rule_defined(definition: Any) -> Decision:
    event = RuleDefined(
        id=UUID(int=0),
        rule=RULE,
        name=RULE,
        plan=msgspec.json.encode(definition),
        occurred_at=START,
    )
    return Decision(event, UUID(int=8))


def outcomes_by_cause(segment_bench: SegmentBench, workspace: int) -> dict[str, tuple[str, str]]:
    with segment_bench.engine.connect() as tx:
        runs = tx.execute(tables.rule_run.select().where(tables.rule_run.c.workspace == workspace))
        return {run.cause: (run.outcome, run.reason) for run in runs}
