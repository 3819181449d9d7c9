"""Events of all identifiers of a profile count together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import examples
from tests.builders import merged, tracked, unmerged
from tests.fix_segments import SegmentBench
from tests.properties.membership_checks import check_members
from tests.segment_history import IDENTIFIERS, HistoryEntry, at
from tests.strategies.few_events import few_names, of_few

identifiers = st.sampled_from(IDENTIFIERS[:3])


@st.composite
def histories(draw: st.DrawFn) -> list[HistoryEntry]:
    """Two identifiers that are merged early, and their later events."""
    entries = [
        HistoryEntry(0, tracked(draw(few_names), IDENTIFIERS[0], occurred_at=at(0))),
        HistoryEntry(1, merged(IDENTIFIERS[0], IDENTIFIERS[1], occurred_at=at(1))),
    ]
    for minute in sorted(draw(st.lists(st.integers(2, 20), min_size=1, max_size=5))):
        identifier, occurred_at = (
            draw(identifiers),
            at(minute - draw(st.sampled_from([0, 0, 1, 9, -3]))),
        )
        if draw(st.integers(0, 9)) == 0:
            entries.append(HistoryEntry(minute, unmerged(identifier, occurred_at=at(minute))))
        else:
            entries.append(
                HistoryEntry(minute, tracked(draw(few_names), identifier, occurred_at=occurred_at))
            )
    return entries


@examples.on_one_database(0.4)
@given(document=of_few, history=histories(), size=st.integers(1, 4))
def test_events_of_several_identifiers_count_together(
    segment_bench: SegmentBench, document, history, size
):
    check_members(segment_bench, document, history, 0, size)
