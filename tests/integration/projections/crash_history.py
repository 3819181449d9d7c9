"""Something of all that read models are made of, for two batches."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDefined, RuleEnabled
from tests.builders import anonymous, merged, tracked, unmerged, user
from tests.integration.projections.history import with_payload
from tests.segment_history import Decision, HistoryEntry, at, defined, ledger


def history() -> list[RecordedEvent]:
    """Return something of all that read models are made of, for two batches."""
    entries = [HistoryEntry(0, lately("2m")), *(HistoryEntry(0, it) for it in rule())]
    for n in range(10):
        message = tracked(
            "Viewed",
            user(f"u-{n % 3}"),
            anonymous(f"a-{n % 5}"),
            kind="identify" if n % 4 == 0 else "track",
            occurred_at=at(n // 2),
        )
        document = {
            "traits": {"plan": f"p-{n % 3}", "email": f"u{n % 3}@example.com"},
            "properties": {"total": n},
            "context": {"sessionId": f"s-{n % 4}"},
        }
        entries.append(HistoryEntry(n // 2, with_payload(message, document)))
    entries[6:6] = [HistoryEntry(2, merged(user("u-0"), user("u-1"), occurred_at=at(2)))]
    entries += [
        HistoryEntry(5, lately("4m")),
        HistoryEntry(5, unmerged(user("u-1"), user("u-0"), occurred_at=at(5))),
    ]
    return ledger(entries)


def lately(last: str) -> Decision:
    return defined(
        "lately", {"event": "Viewed", "count": {"at_least": 2}, "within": {"last": last}}
    )


def rule() -> list[Decision]:
    """Return decisions by which a rule acts: some wait in it at the end of each batch."""
    wait = {"event": "Viewed", "timeout": "3m", "else": [{"add_tag": {"tag": "gone"}}]}
    plan = {"trigger": {"entered": "lately"}, "delay": "60s", "wait": wait, "reentry": "once"}
    fields = {"id": UUID(int=0), "rule": "r", "occurred_at": at(0)}
    defined = RuleDefined(name="R", plan=msgspec.json.encode(plan), **fields)
    return [Decision(it, UUID(int=8)) for it in (defined, RuleEnabled(**fields))]


HISTORY = history()
