"""Conditions on how often, and when first or last, a person did something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.base import NO_RESULT, EvaluationResult, Leaf
from domain.conditions.event_names import EventName
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison, format_utc
from domain.conditions.windows import AT_LEAST_ONCE, CountBounds, TimeWindow
from domain.core.errors import InvalidRequest
from domain.core.time import EARLIEST, parse_duration

MAX_EVIDENCE_EVENTS = 10
"""Events shown in an explanation: the newest."""


def compile_where(where: tuple[Comparison, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test that a document meets all comparisons."""
    tests = [each.compile() for each in where]
    if not tests:
        return lambda _document: True
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


class EventCountCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person did this so many times, ever or within a window.

    "At least n times in the last W" is true exactly until ``t_n + W``, where ``t_n`` is the n-th newest
    matching time.  So the summary is the newest times, newest first: as many as can matter, or some
    more, so that conditions that differ only in count and moving window share it.
    """

    KEY: ClassVar[str] = "event"

    event: EventName
    count: CountBounds = AT_LEAST_ONCE
    within: TimeWindow | None = None
    where: tuple[Comparison, ...] = ()

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under."""
        plain = EventCountCondition(
            self.event, CountBounds(at_least=self.summary_size), self._fixed_window, self.where
        )
        return msgspec.json.encode(plain, order="deterministic").decode()

    @cached_property
    def summary_size(self) -> int:
        """How many times are kept: the next power of ten."""
        return int(10 ** len(str(max(self.count.max_relevant_count - 1, 1))))

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def count_can_flip(self, result: bool, size: int) -> bool:
        """Say whether they can be enough, or too many."""
        low, high = self.count.bounds
        return 0 < low <= size if result else high is not None and size > high

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """What can come of times that leave the window: there are few enough, or too few."""
        low, high = self.count.bounds
        possible = ((True, high is not None), (False, low > 0))
        return NO_RESULT if self._span is None else frozenset(it for it, can in possible if can)

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives a matching event's time."""
        matches, fixed = compile_where(self.where), self._fixed_window
        if not self.where and fixed is None:
            return lambda happened: [happened.occurred_at]

        def note(happened: EventView) -> Summary:
            if fixed is not None and not fixed.contains(happened.occurred_at):
                return None
            return [happened.occurred_at] if matches(happened.document) else None

        return note

    def summary_of_times(self, times: Sequence[int]) -> Summary:
        """Return the summary of events at these times, in whatever order; None if none can count."""
        fixed = self._fixed_window
        able = times if fixed is None else [at for at in times if fixed.contains(at)]
        return sorted(able, reverse=True)[: self.summary_size] or None

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the newest of both."""
        if len(other) == 1 and other[0] >= one[0]:  # as most events come in
            return [*other, *one[: self.summary_size - 1]]
        return sorted([*one, *other], reverse=True)[: self.summary_size]

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Count the times within the window."""
        return self.evaluate(summary, clock)[0]

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when enough of the counted times will have left the window."""
        return self.evaluate(summary, clock)[1]

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """What counts the times within the window; the next that matters is the one that leaves too few."""
        counted, span, (low, high) = self._counted_times, self._span, self.count.bounds

        def answer_of(summary: Summary, clock: int) -> EvaluationResult:
            times = counted(summary, clock)
            if high is not None and len(times) > high:
                return False, None if span is None else times[high] + span
            if len(times) < low:
                return False, None
            return True, None if span is None or low == 0 else times[low - 1] + span

        return answer_of

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the count (no higher than can matter) and the newest of the times."""
        times = self._counted_times(summary, clock)
        return {
            "count": len(times),
            "count_is_at_least": len(times) >= self._max_counted,
            "times": [format_utc(at) for at in times[:MAX_EVIDENCE_EVENTS]],
        }

    @cached_property
    def _counted_times(self) -> Callable[[list[int] | None, int], list[int]]:
        enough, span = self._max_counted, self._span

        def counted(summary: list[int] | None, clock: int) -> list[int]:
            if not summary:
                return []
            times = summary[:enough]
            since = EARLIEST if span is None else clock - span
            if since < times[-1] and times[0] <= clock:
                return times
            return [at for at in times if since < at <= clock]

        return counted

    @property
    def _span(self) -> int | None:
        return None if self.within is None else self.within.span

    @property
    def _max_counted(self) -> int:
        return max(self.count.max_relevant_count, 1)

    @property
    def _fixed_window(self) -> TimeWindow | None:
        return self.within if self.within is not None and self.within.span is None else None


class OccurrenceCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first, or the last, time that the person did this is that long ago, or is not.

    The last time is the newest of the times that a count keeps, so that it is told by the same summary.
    """

    KEY: ClassVar[str] = "occurrence"

    event: EventName
    occurrence: Literal["first", "last"]
    older_than: str | None = None
    newer_than: str | None = None
    where: tuple[Comparison, ...] = ()

    def __post_init__(self) -> None:
        if (self.older_than is None) == (self.newer_than is None):
            raise InvalidRequest("`occurrence` needs one of older_than, newer_than")
        parse_duration(self.older_than or self.newer_than)

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under, whatever the age."""
        if self.equivalent_count is not None:
            return self.equivalent_count.key
        first = {"event": self.event, "first": self.where}
        return msgspec.json.encode(first, order="deterministic").decode()

    @cached_property
    def equivalent_count(self) -> EventCountCondition | None:
        """The count whose summary tells the last time; None of a first time."""
        return (
            EventCountCondition(self.event, where=self.where) if self.occurrence == "last" else None
        )

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def count_can_flip(self, result: bool, size: int) -> bool:
        """Say whether it can: only older becomes what was first, only newer what is last."""
        grows = (self.occurrence == "first") == (self.older_than is not None)
        return result == grows or (result and size == 1)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """One of them: a time only gets older."""
        return frozenset((self.older_than is not None,))

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives a matching event's time."""
        if self.equivalent_count is not None:
            return self.equivalent_count.extractor()
        matches = compile_where(self.where)
        return lambda happened: happened.occurred_at if matches(happened.document) else None

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the earlier, or the times that a count keeps."""
        return (
            min(one, other)
            if self.equivalent_count is None
            else self.equivalent_count.merge_settled(one, other)
        )

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Compare its age."""
        return self.evaluate(summary, clock)[0]

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when it will be that old."""
        return self.evaluate(summary, clock)[1]

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """What compares its age with the duration; what never happened has no age."""
        is_last, age = (
            self.equivalent_count is not None,
            parse_duration(self.older_than or self.newer_than),
        )
        when_old, when_new = self.older_than is not None, self.older_than is None

        def answer_of(summary: Summary, clock: int) -> EvaluationResult:
            if summary is None:
                return False, None
            old_at: int = (summary[0] if is_last else summary) + age
            return (when_old, None) if old_at <= clock else (when_new, old_at)

        return answer_of

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Return when it was."""
        if summary is None:
            return {"times": []}
        return {"times": [format_utc(summary if self.equivalent_count is None else summary[0])]}
