"""A value worked out over a person's events: their number, a sum, the first or last value, and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from domain.conditions.events import matcher
from domain.conditions.names import EventName
from domain.conditions.summary import Happened, Kept, Summary
from domain.conditions.totals import Function, joined, result_of, results, texts, total
from domain.conditions.values import Comparison, same
from domain.conditions.windows import Within
from domain.core import paths
from domain.core.errors import InvalidRequest


class Computation(Kept, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A computed attribute: a function over the events that the person did, ever or within a window.

    ``first`` and ``last`` are the value at the path of the first or last event that has one, by (time, id).
    A sum, a count and a distinct count over nothing are 0; the others are not there.

    The summary of a window that moves is its values with their times; any other is the smallest that
    joins: sum and number of them, smallest, largest, the first, or the set.
    """

    fn: Function
    event: EventName
    path: str | None = None
    within: Within | None = None
    where: tuple[Comparison, ...] = ()

    def __post_init__(self) -> None:
        if (self.path is None) != (self.fn == "count"):
            raise InvalidRequest(f"{self.fn} {'takes no' if self.path else 'needs a'} path")
        if self.path is not None:
            paths.parse(self.path)

    @property
    def kept_under(self) -> str:
        """What a condition's summaries of it are kept under."""
        return f'{{"computed":{self.key}}}'

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    @property
    def moves(self) -> bool:
        """Whether values count within a window that moves along with the clock."""
        return self._span is not None

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives the values of a matching event."""
        matches, find, fn = matcher(self.where), self._finder(), self.fn
        window, moves = self.within, self.moves

        def note(happened: Happened) -> Summary:
            if window is not None and not moves and not window.covers(happened.at):
                return None
            found = find(happened) if matches(happened.document) else ()
            if not found:
                return None
            return [[happened.at, it] for it in sorted(found)] if moves else total(fn, found)

        return note

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        return joined(self.fn, one, other) if self._span is None else sorted([*one, *other])

    def outlived(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        if self._span is None:
            return summary
        return [it for it in summary if it[0] > clock - self._span] or None

    def value(self, summary: Summary, clock: int) -> Any:
        """Return the value at the clock: a number as an exact one, else JSON; None: there is none."""
        if self._span is None:
            return result_of(self.fn, summary)
        kept = self._within(summary, clock)
        return result_of(self.fn, total(self.fn, [it[1] for it in kept]) if kept else None)

    def changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when the value changes if nothing else happens."""
        now = self.value(summary, clock)
        return self.changes(summary, clock, lambda value: same(value, now))

    def changes(self, summary: Summary, clock: int, holds: Callable[[Any], bool]) -> int | None:
        """Return when something that holds of the value, or does not, changes if nothing else happens."""
        return self.answerer(holds)(summary, clock)[1]

    def answerer(
        self, holds: Callable[[Any], bool]
    ) -> Callable[[Summary, int], tuple[bool, int | None]]:
        """Return what tells whether something holds of the value, and when that changes if nothing else happens."""
        fn, span = self.fn, self._span
        if span is None:
            return lambda summary, _clock: (holds(result_of(fn, summary)), None)
        within_of, of_none = self._within, holds(result_of(fn, None))

        def answer(summary: Summary, clock: int) -> tuple[bool, int | None]:
            within = within_of(summary, clock)
            if not within:
                return of_none, None
            if len(within) == 1:  # as of most people
                [(at, value)] = within
                now = holds(result_of(fn, total(fn, [value])))
                return now, None if now == of_none else at + span
            left = results(fn, [it[1] for it in within])
            now = holds(next(left))
            for place, ((at, _), value) in enumerate(zip(within, left, strict=True), 1):
                leave_at_once = place < len(within) and within[place][0] == at
                if not leave_at_once and holds(value) != now:
                    return now, at + span
            return now, None

        return answer

    def _finder(self) -> Callable[[Happened], Sequence[Any]]:
        if self.path is None:
            return lambda _happened: ("1",)
        find, distinct = paths.finder(paths.parse(self.path)), self.fn == "distinct"

        def find_one(happened: Happened) -> Sequence[Any]:
            one = next(iter(find(happened.document)), None)
            text = msgspec.json.encode(one).decode()
            return () if one is None else ([happened.at, happened.id, text],)

        if self.fn in {"first", "last"}:
            return find_one
        return lambda happened: texts(find(happened.document), distinct)

    def _within(self, summary: Summary, clock: int) -> list[list[Any]]:
        assert self._span is not None
        return [it for it in summary or () if clock - self._span < it[0] <= clock]

    @cached_property
    def _span(self) -> int | None:
        return None if self.within is None else self.within.span
