"""Computed attributes: a value over a profile's events, such as a count or a sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from domain.conditions.aggregation import (
    AggregateFunction,
    aggregate_values,
    exact_texts,
    merge_totals,
    result_of_total,
    results_as_values_expire,
)
from domain.conditions.event_names import EventName
from domain.conditions.events import compile_where
from domain.conditions.schema_fragments import requires
from domain.conditions.summary import EventView, Summarised, Summary
from domain.conditions.values import Comparison, json_equal
from domain.conditions.windows import TimeWindow
from domain.core import paths
from domain.core.errors import InvalidRequest


class Computation(Summarised, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A function of the events that a profile performed, ever or within a window.

    ``first`` and ``last`` give the value at the path of the first or last event that has one, ordered by
    time and id.  A sum, a count and a distinct count over no events are 0; the other functions have no
    value then.

    The summary of a moving window is its values with their times.  Any other summary is the smallest that
    merges: the sum and the number of values, the smallest, the largest, the first, or the set.
    """

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "if": {"properties": {"fn": {"const": "count"}}},
        "then": {"not": requires("path")},
        "else": requires("path"),
    }

    fn: AggregateFunction
    event: EventName
    path: str | None = None
    within: TimeWindow | None = None
    where: tuple[Comparison, ...] = ()

    def __post_init__(self) -> None:
        if (self.path is None) != (self.fn == "count"):
            raise InvalidRequest(f"{self.fn} {'takes no' if self.path else 'needs a'} path")
        if self.path is not None:
            paths.parse(self.path)

    @property
    def condition_key(self) -> str:
        """The key under which a condition's summaries of it are stored."""
        return f'{{"computed":{self.key}}}'

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    @property
    def is_sliding(self) -> bool:
        """Whether its window moves with the clock."""
        return self._span is not None

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives the values of a matching event."""
        matches, find, fn = compile_where(self.where), self._value_finder(), self.fn
        window, is_sliding = self.within, self.is_sliding

        def extract(event: EventView) -> Summary:
            if window is not None and not is_sliding and not window.contains(event.occurred_at):
                return None
            values = find(event) if matches(event.document) else ()
            if not values:
                return None
            return (
                [[event.occurred_at, value] for value in sorted(values)]
                if is_sliding
                else aggregate_values(fn, values)
            )

        return extract

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the values, or the total, of both."""
        return merge_totals(self.fn, left, right) if self._span is None else sorted([*left, *right])

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Drops the values that have left the window."""
        if self._span is None:
            return summary
        return [entry for entry in summary if entry[0] > clock - self._span] or None

    def value(self, summary: Summary, clock: int) -> Any:
        """Returns the value at the clock: numbers exact, other values as JSON; None: no value."""
        if self._span is None:
            return result_of_total(self.fn, summary)
        entries = self._in_window(summary, clock)
        return result_of_total(
            self.fn, aggregate_values(self.fn, [entry[1] for entry in entries]) if entries else None
        )

    def changes_at(self, summary: Summary, clock: int) -> int | None:
        """Returns when the value changes if no other event happens; None: never."""
        now = self.value(summary, clock)
        return self.predicate_changes_at(summary, clock, lambda value: json_equal(value, now))

    def predicate_changes_at(
        self, summary: Summary, clock: int, predicate: Callable[[Any], bool]
    ) -> int | None:
        """Returns when a predicate on the value changes if no other event happens; None: never."""
        return self.compile_predicate(predicate)(summary, clock)[1]

    def compile_predicate(
        self, predicate: Callable[[Any], bool]
    ) -> Callable[[Summary, int], tuple[bool, int | None]]:
        """Returns a function that evaluates a predicate on the value, and when that changes."""
        fn, span = self.fn, self._span
        if span is None:
            return lambda summary, _clock: (predicate(result_of_total(fn, summary)), None)
        in_window, result_if_empty = self._in_window, predicate(result_of_total(fn, None))

        def evaluate(summary: Summary, clock: int) -> tuple[bool, int | None]:
            entries = in_window(summary, clock)
            if not entries:
                return result_if_empty, None
            if len(entries) == 1:  # the case of most profiles
                [(at, value)] = entries
                now = predicate(result_of_total(fn, aggregate_values(fn, [value])))
                return now, None if now == result_if_empty else at + span
            results = results_as_values_expire(fn, [entry[1] for entry in entries])
            now = predicate(next(results))
            for index, ((at, _), value) in enumerate(zip(entries, results, strict=True), 1):
                next_expires_too = index < len(entries) and entries[index][0] == at
                if not next_expires_too and predicate(value) != now:
                    return now, at + span
            return now, None

        return evaluate

    def _value_finder(self) -> Callable[[EventView], Sequence[Any]]:
        if self.path is None:
            return lambda _event: ("1",)
        find, distinct = paths.compile_path(paths.parse(self.path)), self.fn == "distinct"

        def find_one(event: EventView) -> Sequence[Any]:
            value = next(iter(find(event.document)), None)
            text = msgspec.json.encode(value).decode()
            return () if value is None else ([event.occurred_at, event.id, text],)

        if self.fn in {"first", "last"}:
            return find_one
        return lambda event: exact_texts(find(event.document), distinct)

    def _in_window(self, summary: Summary, clock: int) -> list[list[Any]]:
        assert self._span is not None
        return [entry for entry in summary or () if clock - self._span < entry[0] <= clock]

    @cached_property
    def _span(self) -> int | None:
        return None if self.within is None else self.within.span
