"""Histories of a profile, and evaluation of conditions on them through the public functions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from domain.conditions import (
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
)
from domain.core.time import MICROSECOND, format_utc, from_micros, to_micros
from tests.leaves import Leaves

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When most events of these tests happen."""


def days(number: float) -> timedelta:
    return timedelta(days=number)


class PastEvent(NamedTuple):
    """An event that the profile performed."""

    name: str
    at: datetime
    properties: dict[str, Any] = {}  # noqa: RUF012 - never written to
    stream: int = 0


def did(name: str, at: datetime = NOON, /, **properties: Any) -> PastEvent:
    return PastEvent(name, at, properties)


class Profile:
    """A profile with a history; the keyword arguments are those of `ProfileFacts`."""

    def __init__(self, *history: PastEvent, segments: Collection[str] = (), **facts: Any) -> None:
        self.history, self.segments, self.facts = history, segments, ProfileFacts(**facts)

    def satisfies(self, document: Any, at: datetime) -> bool:
        """Returns whether the condition holds for the profile at the instant."""
        condition, inputs = self._prepared(document)
        return condition.holds(inputs, to_micros(at))

    def changes_at(self, document: Any, at: datetime) -> datetime | None:
        """Returns when the result may change by itself, as `compile` gives it."""
        condition, inputs = self._prepared(document)
        _, changes_at = condition.compile()(inputs, to_micros(at))
        return None if changes_at is None else from_micros(changes_at)

    def around(self, document: Any, at: datetime) -> tuple[bool, bool, bool]:
        """Returns the results one microsecond before, at and one microsecond after the instant.

        If the result changes at the instant itself, `changes_at` must predict that just before.
        """
        condition, inputs = self._prepared(document)
        instants = [to_micros(at + offset * MICROSECOND) for offset in (-1, 0, 1)]
        before, then, after = (condition.holds(inputs, instant) for instant in instants)
        if before != then:
            predicted = condition.changes_at(inputs, instants[0])
            assert predicted == instants[1], format_utc(instants[1])
        return before, then, after

    def _prepared(self, document: Any) -> Any:
        leaves = Leaves(parse_condition(document))
        summaries: dict[tuple[int, str], Any] = {}
        for number, past in enumerate(self.history):
            event = EventView(
                to_micros(past.at), number.to_bytes(2), past.name, {"properties": past.properties}
            )
            for key in leaves.watching(past.name):
                place = past.stream, key
                summaries[place] = leaves.add_functions[key](summaries.get(place), event)
        merged: dict[str, Any] = {}
        for (_, key), summary in summaries.items():
            merged[key] = leaves.by_key[key].merge(merged.get(key), summary)
        return leaves.condition, EvaluationInput(
            merged, lambda: self.facts, self.segments.__contains__
        )
