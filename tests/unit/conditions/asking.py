"""A person's history in words, asked about at an instant through the public functions of the conditions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from domain.conditions import (
    CompiledCondition,
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
)
from domain.conditions.values import format_utc
from domain.core.time import MICROSECOND, from_micros, to_micros

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When most things here happen."""


def days(number: float) -> timedelta:
    return timedelta(days=number)


class Did(NamedTuple):
    """Something that the person did."""

    name: str
    at: datetime
    properties: dict[str, Any] = {}  # noqa: RUF012 - never written to
    stream: int = 0


def did(name: str, at: datetime = NOON, /, **properties: Any) -> Did:
    return Did(name, at, properties)


class Person:
    """Somebody with a history."""

    def __init__(self, *history: Did, segments: Collection[str] = (), **told: Any) -> None:
        self.history, self.segments, self.told = history, segments, ProfileFacts(**told)

    def meets(self, document: Any, at: datetime) -> bool:
        """Say whether the condition holds of the person at the instant."""
        condition, facts = self._prepared(document)
        return condition.holds(facts, to_micros(at))

    def changes(self, document: Any, at: datetime) -> datetime | None:
        """Return when the answer is said to change by itself, as it is told together with the answer."""
        condition, facts = self._prepared(document)
        _, changes = condition.compile()(facts, to_micros(at))
        return None if changes is None else from_micros(changes)

    def around(self, document: Any, at: datetime) -> tuple[bool, bool, bool]:
        """Return the answers just before, at and just after the instant.

        An answer that differs at the instant itself has been foretold just before.
        """
        condition, facts = self._prepared(document)
        instants = [to_micros(at + near * MICROSECOND) for near in (-1, 0, 1)]
        before, then, after = (condition.holds(facts, it) for it in instants)
        if before != then:
            assert condition.changes_at(facts, instants[0]) == instants[1], format_utc(instants[1])
        return before, then, after

    def _prepared(self, document: Any) -> Any:
        program = CompiledCondition(parse_condition(document))
        kept: dict[tuple[int, str], Any] = {}
        for number, event in enumerate(self.history):
            happened = EventView(
                to_micros(event.at),
                number.to_bytes(2),
                event.name,
                {"properties": event.properties},
            )
            for key in program.keys_watching(event.name):
                where = event.stream, key
                kept[where] = program.add_functions[key](kept.get(where), happened)
        joined: dict[str, Any] = {}
        for (_, key), summary in kept.items():
            joined[key] = program.leaves[key].merge(joined.get(key), summary)
        return program.condition, EvaluationInput(
            joined, lambda: self.told, self.segments.__contains__
        )
