"""Conditions on how often, and when first or last, a person did something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import merge
from itertools import islice
from typing import Any, ClassVar, Literal

from domain.conditions.base import Happened, Known, Leaf, Summary
from domain.conditions.names import EventName
from domain.conditions.times import ONCE, Count, Within, duration
from domain.conditions.values import Comparison, shown
from domain.errors import InvalidRequest

EVIDENCE = 10
"""Events shown in an explanation: the newest."""


def matcher(where: tuple[Comparison, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test that a document meets all comparisons."""
    tests = [each.compiled() for each in where]
    if not tests:
        return lambda _document: True
    return lambda document: all(test(document) for test in tests)


class Performed(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person did this so many times, ever or within a window.

    "At least n times in the last W" is true exactly until ``t_n + W``, where ``t_n`` is the n-th newest
    matching time.  So the summary is the newest times, newest first: as many as can matter.
    """

    KEY: ClassVar[str] = "event"

    event: EventName
    count: Count = ONCE
    within: Within | None = None
    where: tuple[Comparison, ...] = ()

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def adder(self) -> Callable[[Summary, Happened], Summary]:
        """Return what puts a matching event's time into its place."""
        matches, most, fixed = matcher(self.where), max(self.count.enough, 1), self._fixed

        def add(summary: Summary, happened: Happened) -> Summary:
            at = happened.at
            if (fixed is not None and not fixed.covers(at)) or not matches(happened.document):
                return summary
            return _newest((at,), summary or (), most)

        return add

    def join(self, one: Summary, other: Summary) -> Summary:
        """Return the newest of both."""
        return _newest(one or (), other or (), max(self.count.enough, 1))

    def holds(self, known: Known, clock: int) -> bool:
        """Count the times within the window."""
        return self.count.holds(len(self._counted(known, clock)))

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when enough of the counted times will have left the window."""
        span = None if self.within is None else self.within.span
        if span is None:
            return None
        times = self._counted(known, clock)
        holds = self.count.holds(len(times))
        for left in range(len(times) - 1, -1, -1):
            if self.count.holds(left) != holds:
                return int(times[left] + span)
        return None

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return the count (no higher than can matter) and the newest of the times."""
        times = self._counted(known, clock)
        return {
            "count": len(times),
            "count_is_at_least": len(times) >= max(self.count.enough, 1),
            "times": [shown(at) for at in times[:EVIDENCE]],
        }

    def _counted(self, known: Known, clock: int) -> list[int]:
        times = known.summaries.get(self.key) or ()
        span = None if self.within is None else self.within.span
        since = None if span is None else clock - span
        return [at for at in times if at <= clock and (since is None or at > since)]

    @property
    def _fixed(self) -> Within | None:
        return self.within if self.within is not None and self.within.span is None else None


def _newest(one: Any, other: Any, most: int) -> list[int]:
    return list(islice(merge(one, other, reverse=True), most))


class Occurrence(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first, or the last, time that the person did this is that long ago, or is not."""

    KEY: ClassVar[str] = "occurrence"

    event: EventName
    occurrence: Literal["first", "last"]
    older_than: str | None = None
    newer_than: str | None = None
    where: tuple[Comparison, ...] = ()

    def __post_init__(self) -> None:
        if (self.older_than is None) == (self.newer_than is None):
            raise InvalidRequest("`occurrence` needs one of older_than, newer_than")
        duration(self.older_than or self.newer_than)

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def adder(self) -> Callable[[Summary, Happened], Summary]:
        """Return what keeps the earliest, or the latest, matching time."""
        matches = matcher(self.where)

        def add(summary: Summary, happened: Happened) -> Summary:
            return self.join(summary, happened.at) if matches(happened.document) else summary

        return add

    def join(self, one: Summary, other: Summary) -> Summary:
        """Return the earlier, or the later."""
        if one is None or other is None:
            return other if one is None else one
        return min(one, other) if self.occurrence == "first" else max(one, other)

    def holds(self, known: Known, clock: int) -> bool:
        """Compare its age with the duration; what never happened has no age."""
        at = known.summaries.get(self.key)
        if at is None:
            return False
        is_old = bool(at <= clock - self._age)
        return is_old == (self.older_than is not None)

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when it will be that old."""
        at = known.summaries.get(self.key)
        return None if at is None or at + self._age <= clock else int(at + self._age)

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return when it was."""
        at = known.summaries.get(self.key)
        return {"times": [] if at is None else [shown(at)]}

    @property
    def _age(self) -> int:
        return duration(self.older_than or self.newer_than)
