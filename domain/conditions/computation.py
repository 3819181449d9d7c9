"""A value worked out over a person's events: their number, a sum, the first or last value, and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

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
from domain.conditions.summary import EventView, Summarised, Summary
from domain.conditions.values import Comparison, json_equal
from domain.conditions.windows import TimeWindow
from domain.core import paths
from domain.core.errors import InvalidRequest


class Computation(Summarised, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A computed attribute: a function over the events that the person did, ever or within a window.

    ``first`` and ``last`` are the value at the path of the first or last event that has one, by (time, id).
    A sum, a count and a distinct count over nothing are 0; the others are not there.

    The summary of a window that moves is its values with their times; any other is the smallest that
    joins: sum and number of them, smallest, largest, the first, or the set.
    """

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
        """What a condition's summaries of it are kept under."""
        return f'{{"computed":{self.key}}}'

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    @property
    def is_sliding(self) -> bool:
        """Whether values count within a window that moves along with the clock."""
        return self._span is not None

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives the values of a matching event."""
        matches, find, fn = compile_where(self.where), self._value_finder(), self.fn
        window, moves = self.within, self.is_sliding

        def note(happened: EventView) -> Summary:
            if window is not None and not moves and not window.contains(happened.occurred_at):
                return None
            found = find(happened) if matches(happened.document) else ()
            if not found:
                return None
            return (
                [[happened.occurred_at, it] for it in sorted(found)]
                if moves
                else aggregate_values(fn, found)
            )

        return note

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        return merge_totals(self.fn, one, other) if self._span is None else sorted([*one, *other])

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        if self._span is None:
            return summary
        return [it for it in summary if it[0] > clock - self._span] or None

    def value(self, summary: Summary, clock: int) -> Any:
        """Return the value at the clock: a number as an exact one, else JSON; None: there is none."""
        if self._span is None:
            return result_of_total(self.fn, summary)
        kept = self._in_window(summary, clock)
        return result_of_total(
            self.fn, aggregate_values(self.fn, [it[1] for it in kept]) if kept else None
        )

    def changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when the value changes if nothing else happens."""
        now = self.value(summary, clock)
        return self.predicate_changes_at(summary, clock, lambda value: json_equal(value, now))

    def predicate_changes_at(
        self, summary: Summary, clock: int, predicate: Callable[[Any], bool]
    ) -> int | None:
        """Return when something that holds of the value, or does not, changes if nothing else happens."""
        return self.compile_predicate(predicate)(summary, clock)[1]

    def compile_predicate(
        self, predicate: Callable[[Any], bool]
    ) -> Callable[[Summary, int], tuple[bool, int | None]]:
        """Return what tells whether something holds of the value, and when that changes if nothing else happens."""
        fn, span = self.fn, self._span
        if span is None:
            return lambda summary, _clock: (predicate(result_of_total(fn, summary)), None)
        within_of, of_none = self._in_window, predicate(result_of_total(fn, None))

        def answer(summary: Summary, clock: int) -> tuple[bool, int | None]:
            within = within_of(summary, clock)
            if not within:
                return of_none, None
            if len(within) == 1:  # as of most people
                [(at, value)] = within
                now = predicate(result_of_total(fn, aggregate_values(fn, [value])))
                return now, None if now == of_none else at + span
            left = results_as_values_expire(fn, [it[1] for it in within])
            now = predicate(next(left))
            for place, ((at, _), value) in enumerate(zip(within, left, strict=True), 1):
                leave_at_once = place < len(within) and within[place][0] == at
                if not leave_at_once and predicate(value) != now:
                    return now, at + span
            return now, None

        return answer

    def _value_finder(self) -> Callable[[EventView], Sequence[Any]]:
        if self.path is None:
            return lambda _happened: ("1",)
        find, distinct = paths.compile_path(paths.parse(self.path)), self.fn == "distinct"

        def find_one(happened: EventView) -> Sequence[Any]:
            one = next(iter(find(happened.document)), None)
            text = msgspec.json.encode(one).decode()
            return () if one is None else ([happened.occurred_at, happened.id, text],)

        if self.fn in {"first", "last"}:
            return find_one
        return lambda happened: exact_texts(find(happened.document), distinct)

    def _in_window(self, summary: Summary, clock: int) -> list[list[Any]]:
        assert self._span is not None
        return [it for it in summary or () if clock - self._span < it[0] <= clock]

    @cached_property
    def _span(self) -> int | None:
        return None if self.within is None else self.within.span
