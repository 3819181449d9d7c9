"""The timeline and the segments, kept by the projector on a database of their own."""

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
from projections.segments.definitions import segments as definitions
from projections.segments.state import partitioning, reader
from tests.integration.projections.given import rows_of
from tests.integration.projections.history import ListFeed
from tests.segment_history import LAST, at

PROJECTIONS = (timeline.projection, segments.projection)


class Stay(NamedTuple):
    """A row of `member` or of `stay`."""

    workspace: int
    segment: str
    person: UUID
    entered_at: int
    entered_by: int
    left_at: int | None = None
    left_by: int | None = None


class Kept:
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
        """Project them in batches of that size, let time go by, and return the workspace."""
        workspace = next(self._numbers)
        self.feed.workspaces[workspace] = list(records)
        self.projector.catch_up(workspace, size)
        with self.engine.begin() as tx:
            segments.sweep(tx, workspace, to_micros(at(LAST)))
        return workspace

    def stays(self, workspace: int) -> list[Stay]:
        with self.engine.connect() as tx:
            inside, over, persons = (
                tx.execute(it.select().where(it.c.workspace == workspace)).all()
                for it in (tables.member, tables.membership_interval, tables.membership_state)
            )
            rules = definitions.load_segment_index(tx, workspace)
        # What is kept with a person and what is kept with a segment is the same.
        assert sorted((it.segment, it.person, it.entered_at) for it in inside) == sorted(
            (rules.segments[place].id, it.person, entered)
            for it in persons
            for place, entered in reader.decode_memberships(rules, it.inside).items()
        )
        return [Stay(*it) for it in (*inside, *over)]

    def rows(self, workspace: int) -> Any:
        return rows_of(self.engine, [segments.projection], workspace, ())


@pytest.fixture
def kept(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    # So that as few people as there are come in several parts.
    monkeypatch.setattr(partitioning, "STEPS_PER_PARTITION", 1)
    made = Kept(database)
    yield made
    made.engine.dispose()
