"""The smallest valid rule, to build others from."""

from __future__ import annotations

EVENT, TAG = {"event": "a"}, [{"add_tag": {"tag": "x"}}]
WAIT = {"event": "b", "timeout": "1h", "else": TAG}


def rule(**more):
    return {"trigger": EVENT, "actions": TAG} | more
