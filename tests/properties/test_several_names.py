"""What somebody did under several names counts together, also where it decides whether they are asked at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import examples
from tests.builders import merged, tracked, unmerged
from tests.fix_segments import Kept
from tests.properties.membership_checks import holds_as_the_oracle_says
from tests.segment_history import NAMES, Said, at
from tests.strategies.few_events import few_names, of_few

names = st.sampled_from(NAMES[:3])


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Two names that are one person from early on, and what they do from then on."""
    said = [
        Said(0, tracked(draw(few_names), NAMES[0], occurred_at=at(0))),
        Said(1, merged(NAMES[0], NAMES[1], occurred_at=at(1))),
    ]
    for minute in sorted(draw(st.lists(st.integers(2, 20), min_size=1, max_size=5))):
        who, when = draw(names), at(minute - draw(st.sampled_from([0, 0, 1, 9, -3])))
        if draw(st.integers(0, 9)) == 0:
            said.append(Said(minute, unmerged(who, occurred_at=at(minute))))
        else:
            said.append(Said(minute, tracked(draw(few_names), who, occurred_at=when)))
    return said


@examples.on_one_database(0.4)
@given(document=of_few, history=histories(), size=st.integers(1, 4))
def test_what_was_done_under_several_names_counts_together(kept: Kept, document, history, size):
    holds_as_the_oracle_says(kept, document, history, 0, size)
