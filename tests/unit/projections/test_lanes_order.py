"""Segments read the timeline, which is written before them in one transaction."""

import pytest

from projections import PROJECTIONS, segments, timeline
from projections.runtime.projection import partition_by_weight


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_timeline_goes_before_segments_in_one_lane(lanes: int) -> None:
    [lane] = [it for it in partition_by_weight(PROJECTIONS, lanes) if segments.projection in it]
    assert lane.index(timeline.projection) < lane.index(segments.projection)
