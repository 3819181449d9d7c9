"""Memberships, but for what they answer: that is compared with an oracle."""

from __future__ import annotations

import gc
from uuid import UUID
from weakref import ref

from domain.conditions import Happened, read
from domain.core.ledger_time import Since
from domain.evaluation.engine import Membership
from domain.evaluation.inputs import Did
from domain.evaluation.segment_index import Rule, Rules


def test_what_is_known_is_gone_as_soon_as_nobody_holds_it() -> None:
    did = Did(Since(1, 1), UUID(int=1), "user_id", "track", Happened(1, bytes(16), "bought", {}))
    gc.disable()
    try:
        people = Membership(Rules([Rule("buyers", read({"event": "bought"}))]), {})
        people.go_through([did], 2)
        assert people.segments_of(UUID(int=1)) == {"buyers"}
        held = ref(people)
        del people
        assert held() is None
    finally:
        gc.enable()
