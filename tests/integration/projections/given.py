"""Given these messages, when this is asked, then that is the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from threading import Event
from time import monotonic
from typing import Any

import msgspec
from sqlalchemy import Engine, text

from domain.events.message import Message
from domain.events.recorded import RecordedEvent
from interfaces.query_reader import QueryReader
from projections import PROJECTIONS, identity
from projections.runtime import checkpoint
from projections.runtime.projection import Projection
from projections.runtime.projector import Projector
from tests.integration.projections.history import ListFeed, recorded


class Given:
    """A projector over a list, and the questions that its read models answer."""

    def __init__(self, engine: Engine, projections: Sequence[Projection] = PROJECTIONS) -> None:
        self.engine = engine
        self.feed = ListFeed()
        self.projector = Projector(self.feed, engine, projections)
        self.projector.prepare()

    def messages(self, *messages: Message, workspace: int = 1) -> list[RecordedEvent]:
        """Record the messages after those that are there, and bring the read models up to them."""
        history = self.feed.workspaces.setdefault(workspace, [])
        new = recorded(messages, after=len(history))
        history.extend(new)
        self.projector.catch_up(workspace)
        return new

    def ask(self, path: str, *, workspace: int = 1, **params: Any) -> Any:
        """Return the answer as its reader sees it, once it fits the published schema."""
        [(projection, query)] = [
            (it, query)
            for it in self.projector.projections
            for query in it.queries
            if query.path == path
        ]
        with self.engine.connect() as tx:
            projected_to = checkpoint.common_position(
                tx, workspace, projection, identity.projection
            )
            reader = QueryReader(self.feed, tx, workspace, projected_to)
            answer = query.handler(reader, query.params.model_validate(params))
        document = json.loads(msgspec.json.encode(answer))
        query.response_model.model_validate(document)
        return document

    def names(self, **params: Any) -> list[str]:
        """Return the names of the events in a page of the event list."""
        return [it["name"] for it in self.ask("/events", **params)["events"]]

    def tables(self, *, workspace: int = 1, without: Sequence[str] = ()) -> dict[str, list[str]]:
        """Return the rows of every table, in an order that depends on nothing but the rows."""
        return rows_of(self.engine, self.projector.projections, workspace, without)


OF_A_WORKSPACE = ("workspace", "trigrams")
"""Columns that differ between workspaces: trigrams depend on the terms beside them and its number."""


def rows_of(
    engine: Engine, projections: Sequence[Projection], workspace: int, without: Sequence[str]
) -> dict[str, list[str]]:
    """Return the rows of every table, in an order that depends on nothing but the rows."""
    rows = {}
    with engine.connect() as tx:
        for projection in projections:
            for table in projection.metadata.sorted_tables:
                found = tx.execute(
                    text(
                        f"SELECT (to_jsonb(t) - CAST(:without AS text[]))::text FROM {table} t WHERE workspace = :it"
                    ),
                    {"it": workspace, "without": [*OF_A_WORKSPACE, *without]},
                )
                rows[str(table)] = sorted(found.scalars())
    return rows


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline, "it did not happen within ten seconds"
        Event().wait(0.01)
