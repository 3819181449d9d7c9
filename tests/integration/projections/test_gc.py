"""The garbage collector is paused while a batch is applied, and no fold leaves a cycle."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from domain.events.events import SegmentDefined
from projections import PROJECTIONS, timeline
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from tests.integration.projections.crash_history import HISTORY

DEFINITIONS = 3
UNTIL = max(n for n, record in enumerate(HISTORY) if isinstance(record.event, SegmentDefined))


def apply_history(given, projection, around, history=HISTORY):
    """Applies the definitions, then all other events; ``around`` is called with each fold."""

    def apply(tx, batch):
        around(lambda: projection.apply(tx, batch))

    given.feed.workspaces[1] = history
    wrapped = dataclasses.replace(projection, apply=apply)
    before = [] if projection == timeline.projection else [timeline.projection]  # segments read it
    projector = Projector(given.feed, given.engine, [*before, wrapped])
    projector.advance(1, DEFINITIONS)
    projector.advance(1)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=str)
def test_no_fold_leaves_a_cycle_behind(given, projection):
    """Except a definition: the index before it is a cycle."""
    unreachable = []

    def around(fold):
        gc.collect()
        fold()
        unreachable.append(gc.collect())

    apply_history(given, projection, around, HISTORY[:UNTIL])
    assert unreachable[1] == 0


def test_the_collector_is_paused_while_a_batch_is_applied(given):
    enabled = []

    def around(fold):
        enabled.append(gc.isenabled())
        fold()

    apply_history(given, timeline.projection, around)
    assert enabled == [False, False]
    assert gc.isenabled()


def test_a_fold_that_fails_leaves_the_collector_enabled(given):
    def around(_fold):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        apply_history(given, timeline.projection, around)
    assert gc.isenabled()


def test_the_collector_is_paused_while_a_read_model_is_rebuilt(given):
    enabled = []

    def apply(tx, batch):
        enabled.append(gc.isenabled())
        timeline.projection.apply(tx, batch)

    given.feed.workspaces[1] = HISTORY
    given.projector.catch_up(1)
    observed = dataclasses.replace(timeline.projection, apply=apply)
    rebuilds = RebuildService(Projector(given.feed, given.engine, [observed]))
    rebuilds.request(["timeline"], "rebuild")
    assert rebuilds.run_builds("timeline")
    assert enabled == [False]
    assert gc.isenabled()
