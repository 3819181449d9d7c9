"""The read models timeline and segments, projected into a database of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import create_engine

from domain.core.time import to_micros
from domain.events.recorded import RecordedEvent
from projections import segments, timeline
from projections.runtime.projector import Projector
from projections.segments import tables
from projections.segments.definitions.index import load_segment_index
from projections.segments.state import partitioning, reader
from tests.integration.projections.given import rows_of
from tests.integration.projections.history import ListFeed
from tests.segment_history import LAST_MINUTE, at

PROJECTIONS = (timeline.projection, segments.projection)


class Interval(NamedTuple):
    """A row of ``member`` or of ``membership_interval``."""

    workspace: int
    segment: str
    profile: UUID
    entered_at: int
    entered_position: int
    left_at: int | None = None
    left_position: int | None = None


class SegmentBench:
    """Projects histories, each into a workspace of its own, and reads the memberships."""

    def __init__(self, dsn: str) -> None:
        self.engine = create_engine(
            dsn.replace("postgresql://", "postgresql+psycopg://", 1),
            connect_args={"options": "-c synchronous_commit=off"},
        )
        self.feed = ListFeed()
        self.projector = Projector(self.feed, self.engine, PROJECTIONS)
        self.projector.prepare()
        self._numbers = count(1)

    def project(self, records: Sequence[RecordedEvent], size: int) -> int:
        """Projects records in batches of a size, then advances time; returns the workspace."""
        workspace = next(self._numbers)
        self.feed.workspaces[workspace] = list(records)
        self.projector.catch_up(workspace, size)
        with self.engine.begin() as tx:
            segments.sweep(tx, workspace, to_micros(at(LAST_MINUTE)))
        return workspace

    def intervals(self, workspace: int) -> list[Interval]:
        with self.engine.connect() as tx:
            current, ended, states = (
                tx.execute(table.select().where(table.c.workspace == workspace)).all()
                for table in (tables.member, tables.membership_interval, tables.membership_state)
            )
            index = load_segment_index(tx, workspace)
        # The members of each segment and the segments of each profile agree.
        assert sorted((row.segment, row.profile, row.entered_at) for row in current) == sorted(
            (index.order.segments[ordinal].id, row.profile, entered_at)
            for row in states
            for ordinal, entered_at in reader.decode_memberships(index, row.member_of).items()
        )
        return [Interval(*row) for row in (*current, *ended)]

    def rows(self, workspace: int) -> Any:
        return rows_of(self.engine, [segments.projection], workspace, ())


@pytest.fixture
def segment_bench(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SegmentBench]:
    # So that the few profiles of a history are evaluated in several partitions.
    monkeypatch.setattr(partitioning, "INPUTS_PER_PARTITION", 1)
    bench = SegmentBench(database)
    yield bench
    bench.engine.dispose()
