"""While a batch is folded nobody looks for cycles of objects: no fold makes any, and after it they are looked for."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from domain.events.events import SegmentDefined
from projections import PROJECTIONS, timeline
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from tests.integration.projections.crash_history import HISTORY

DECISIONS = 3
UNTIL = max(place for place, it in enumerate(HISTORY) if isinstance(it.event, SegmentDefined))


def folded(given, projection, around, history=HISTORY):
    """Take the decisions, then all else, with something around the fold."""

    def apply(tx, batch):
        around(lambda: projection.apply(tx, batch))

    given.feed.workspaces[1] = history
    wrapped = dataclasses.replace(projection, apply=apply)
    before = [] if projection == timeline.projection else [timeline.projection]  # segments ask it
    projector = Projector(given.feed, given.engine, [*before, wrapped])
    projector.advance(1, DECISIONS)
    projector.advance(1)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=str)
def test_no_fold_leaves_a_cycle_behind(given, projection):
    """Between two decisions, that is: what was in effect before one is a cycle."""
    left = []

    def around(fold):
        gc.collect()
        fold()
        left.append(gc.collect())

    folded(given, projection, around, HISTORY[:UNTIL])
    assert left[1] == 0


def test_nobody_looks_for_cycles_while_a_batch_is_folded(given):
    looking = []

    def around(fold):
        looking.append(gc.isenabled())
        fold()

    folded(given, timeline.projection, around)
    assert looking == [False, False]
    assert gc.isenabled()


def test_a_fold_that_fails_leaves_the_collector_as_it_was(given):
    def around(_fold):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        folded(given, timeline.projection, around)
    assert gc.isenabled()


def test_nobody_looks_for_cycles_while_a_read_model_is_built_anew(given):
    looking = []

    def apply(tx, batch):
        looking.append(gc.isenabled())
        timeline.projection.apply(tx, batch)

    given.feed.workspaces[1] = HISTORY
    given.projector.catch_up(1)
    slow = dataclasses.replace(timeline.projection, apply=apply)
    lifecycle = RebuildService(Projector(given.feed, given.engine, [slow]))
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    assert looking == [False]
    assert gc.isenabled()
