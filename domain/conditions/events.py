"""Conditions on how often, and when first or last, a person did something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from domain.conditions.base import Leaf
from domain.conditions.keeping import Happened, Summary
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

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives a matching event's time."""
        matches, fixed = matcher(self.where), self._fixed

        def note(happened: Happened) -> Summary:
            if fixed is not None and not fixed.covers(happened.at):
                return None
            return [happened.at] if matches(happened.document) else None

        return note

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the newest of both."""
        return sorted([*one, *other], reverse=True)[: max(self.count.enough, 1)]

    def holds_of(self, summary: Summary, clock: int) -> bool:
        """Count the times within the window."""
        return self.count.holds(len(self._counted(summary, clock)))

    def changes_of(self, summary: Summary, clock: int) -> int | None:
        """Return when enough of the counted times will have left the window."""
        span = None if self.within is None else self.within.span
        if span is None:
            return None
        times = self._counted(summary, clock)
        holds = self.count.holds(len(times))
        for left in range(len(times) - 1, -1, -1):
            if self.count.holds(left) != holds:
                return int(times[left] + span)
        return None

    def evidence_of(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the count (no higher than can matter) and the newest of the times."""
        times = self._counted(summary, clock)
        return {
            "count": len(times),
            "count_is_at_least": len(times) >= max(self.count.enough, 1),
            "times": [shown(at) for at in times[:EVIDENCE]],
        }

    def _counted(self, summary: Summary, clock: int) -> list[int]:
        span = None if self.within is None else self.within.span
        since = None if span is None else clock - span
        return [at for at in summary or () if at <= clock and (since is None or at > since)]

    @property
    def _fixed(self) -> Within | None:
        return self.within if self.within is not None and self.within.span is None else None


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

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives a matching event's time."""
        matches = matcher(self.where)
        return lambda happened: happened.at if matches(happened.document) else None

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the earlier, or the later."""
        return min(one, other) if self.occurrence == "first" else max(one, other)

    def holds_of(self, summary: Summary, clock: int) -> bool:
        """Compare its age with the duration; what never happened has no age."""
        if summary is None:
            return False
        is_old = bool(summary <= clock - self._age)
        return is_old == (self.older_than is not None)

    def changes_of(self, summary: Summary, clock: int) -> int | None:
        """Return when it will be that old."""
        if summary is None or summary + self._age <= clock:
            return None
        return int(summary + self._age)

    def evidence_of(self, summary: Summary, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return when it was."""
        return {"times": [] if summary is None else [shown(summary)]}

    @property
    def _age(self) -> int:
        return duration(self.older_than or self.newer_than)
