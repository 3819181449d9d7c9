"""What is decided about one rule, and what it did by the read model."""

from __future__ import annotations

from uuid import UUID

from projections.segments import tables
from tests.fix_segments import Kept
from tests.segment_history import START, Decided

RULE = "r"
TAG = [{"add_tag": {"tag": "x"}}]


def decree(kind, version: int) -> Decided:
    return Decided(kind(id=UUID(int=0), rule=RULE, occurred_at=START), UUID(int=8))


def triggers_of(kept: Kept, workspace: int) -> dict[str, tuple[str, str]]:
    with kept.engine.connect() as tx:
        found = tx.execute(tables.rule_run.select().where(tables.rule_run.c.workspace == workspace))
        return {it.cause: (it.outcome, it.reason) for it in found}
