"""However many profiles a batch concerns, they are loaded in chunks, with the same result."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleEnabled
from projections.segments.state import reader
from tests.builders import tracked, user
from tests.fix_segments import SegmentBench
from tests.rule_history import TAG, rule_defined, rule_event
from tests.segment_history import HistoryEntry, at, defined, ledger

SEEN_LATELY = {"event": "seen", "within": {"last": "5m"}}
CHUNK = 2


def _history() -> list[HistoryEntry]:
    definition = {
        "trigger": {"system_event": "sale"},
        "audience": {"event": "seen"},
        "delay": "1m",
        "actions": TAG,
    }
    rule = rule_defined(definition)
    first = [HistoryEntry(1, tracked("seen", user(f"u-{n}"), occurred_at=at(1))) for n in range(9)]
    last = [HistoryEntry(20, tracked("seen", user(f"u-{n}"), occurred_at=at(20))) for n in (1, 2)]
    return [
        HistoryEntry(0, defined("lately", SEEN_LATELY)),
        HistoryEntry(0, rule),
        HistoryEntry(0, rule_event(RuleEnabled, 2)),
        *first,
        HistoryEntry(2, tracked("sale", identifiers=(), occurred_at=at(2))),
        HistoryEntry(3, defined("not_lately", {"none": [{"segment": "lately"}]})),
        *last,
    ]


def _catch_up(
    segment_bench: SegmentBench, workspace: int, records: Sequence[RecordedEvent], size: int
) -> int:
    segment_bench.feed.workspaces[workspace] = records
    segment_bench.projector.catch_up(workspace, size)
    return workspace


def test_chunks_give_the_same_rows_as_one_piece(
    segment_bench: SegmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record._replace(version=n) for n, record in enumerate(ledger(_history()), 1)]
    at_once = _catch_up(segment_bench, 1, records, 100)
    assert len(segment_bench.intervals(at_once)) > 18
    loaded: list[int] = []

    def load_state(tx, workspace, index, streams, *args, **options):
        state = load_all(tx, workspace, index, streams, *args, **options)
        loaded.append(len({stream.owner.profile_id for stream in state.streams.values()}))
        return state

    load_all = reader.load_state
    monkeypatch.setattr(reader, "PROFILES_PER_CHUNK", CHUNK)
    monkeypatch.setattr(reader, "load_state", load_state)
    in_chunks = _catch_up(segment_bench, 2, records, 7)

    assert segment_bench.rows(in_chunks) == segment_bench.rows(at_once)
    assert max(loaded) <= 7, "as many as a batch has events"
    assert loaded.count(CHUNK) > 8
