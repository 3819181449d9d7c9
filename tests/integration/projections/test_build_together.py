"""Several read models are built from one read of each batch, independently."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import text

from projections import PROJECTIONS, timeline
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size
from projections.runtime.projector import Projector
from tests.integration.projections.customers import NAMES, customers

INDEXES = text("SELECT indexdef FROM pg_indexes WHERE schemaname LIKE 'read_%' ORDER BY 1")
SMALL = 7


@pytest.fixture
def filled(given, monkeypatch):
    given.messages(*customers(60))
    for it in ("BATCH_SIZE", "MAX_BATCH_SIZE"):
        monkeypatch.setattr(batch_size, it, SMALL)
    return given


def lifecycle(given, projections=PROJECTIONS) -> RebuildService:
    return RebuildService(Projector(given.feed, given.engine, projections))


def count_reads(given, monkeypatch) -> list[int]:
    reads, read = [], given.feed.read

    def counted(workspace, after, limit):
        reads.append(after)
        return read(workspace, after, limit)

    monkeypatch.setattr(given.feed, "read", counted, raising=False)
    return reads


def states(given) -> dict[str, str]:
    return {it.name: it.state for it in lifecycle(given).status().values()}


def indexes(given) -> list[str]:
    with given.engine.connect() as tx:
        return list(tx.execute(INDEXES).scalars())


def test_a_batch_is_read_once_for_all(filled, monkeypatch):
    expected, kept = filled.tables(workspace=1), indexes(filled)
    reads = count_reads(filled, monkeypatch)
    them = lifecycle(filled)
    them.request(NAMES, "rebuild")
    assert them.run_builds(*NAMES)
    assert filled.tables(workspace=1) == expected
    assert indexes(filled) == kept, "those that come late are there too"
    once = [it for it in reads if it < max(reads) - 2 * SMALL]
    assert once == sorted(set(once))
    assert len(once) > 5


def test_who_stands_behind_catches_up_with_the_others(filled, monkeypatch):
    expected = filled.tables(workspace=1)
    them = lifecycle(filled)
    them.request(["timeline"], "rebuild")
    assert not them.run_builds("timeline", on_progress=lambda: them.cancel("timeline"))
    reads = count_reads(filled, monkeypatch)
    them.request(NAMES, "rebuild")
    assert them.run_builds(*NAMES)
    assert filled.tables(workspace=1) == expected
    assert reads[:3] == [0, SMALL, 2 * SMALL]


def test_one_is_cancelled_and_the_others_are_built(filled):
    expected = filled.tables(workspace=1)
    them = lifecycle(filled)
    them.request(NAMES, "rebuild")
    assert not them.run_builds(*NAMES, on_progress=lambda: them.cancel("timeline"))
    assert states(filled) == dict.fromkeys(NAMES, "done") | {"timeline": "cancelled"}
    assert filled.tables(workspace=1) == expected


def test_one_fails_and_the_others_are_built(filled):
    def wrong(tx, batch):
        if batch.after:
            raise ValueError("not today")
        timeline.projection.apply(tx, batch)

    bad = dataclasses.replace(timeline.projection, apply=wrong)
    them = lifecycle(filled, [bad if it.name == "timeline" else it for it in PROJECTIONS])
    expected = filled.tables(workspace=1)
    them.request(NAMES, "rebuild")
    assert not them.run_builds(*NAMES)
    assert states(filled) == dict.fromkeys(NAMES, "done") | {"timeline": "failed"}
    assert lifecycle(filled).status()["timeline"].failure == "ValueError: not today"
    assert filled.tables(workspace=1) == expected
