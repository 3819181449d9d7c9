"""Conditions on how often, and when first or last, a profile did something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.base import NO_RESULT, EvaluationResult, Leaf
from domain.conditions.event_names import EventName
from domain.conditions.schema_fragments import OPTIONAL_DURATION, exactly_one
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison
from domain.conditions.windows import AT_LEAST_ONCE, CountBounds, TimeWindow
from domain.core.errors import InvalidRequest
from domain.core.time import EARLIEST, format_utc, parse_duration

MAX_EVIDENCE_EVENTS = 10
"""Events that an explanation shows: the newest."""


def compile_where(where: tuple[Comparison, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Returns the test that a document satisfies all comparisons."""
    tests = [comparison.compile() for comparison in where]
    if not tests:
        return lambda _document: True
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


class EventCountCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The profile performed an event so many times, ever or within a window.

    "At least n times in the last W" is true exactly until ``t_n + W``, where ``t_n`` is the n-th newest
    matching time.  So the summary is the newest times, newest first: as many as can matter, or some
    more, so that conditions that differ only in count and moving window share it.
    """

    KEY: ClassVar[str] = "event"
    EXAMPLES = (
        {"event": "page_view", "count": {"at_least": 5}, "within": {"last": "30d"}},
        {
            "event": {"matching": "Order*|*Test"},
            "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        },
        {
            "event": "Order Completed",
            "count": {"between": [2, 5]},
            "within": {"from": "2026-01-01"},
        },
        {
            "event": "Order Completed",
            "where": [{"path": "properties.items[].sku", "op": "eq", "value": "A-1"}],
        },
        {"event": "login", "count": {"exactly": 0}, "within": {"last": "14d"}},
    )

    event: EventName
    count: CountBounds = AT_LEAST_ONCE
    within: TimeWindow | None = None
    where: tuple[Comparison, ...] = ()

    @cached_property
    def key(self) -> str:
        """The summary's key: the same for all counts of a similar size and all moving windows."""
        shared = EventCountCondition(
            self.event, CountBounds(at_least=self.summary_size), self._fixed_window, self.where
        )
        return msgspec.json.encode(shared, order="deterministic").decode()

    @cached_property
    def summary_size(self) -> int:
        """The number of times in a summary: the next power of ten."""
        return int(10 ** len(str(max(self.count.max_relevant_count - 1, 1))))

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def count_can_flip(self, result: bool, size: int) -> bool:
        """Returns whether so many events can be enough, or too many."""
        low, high = self.count.bounds
        return 0 < low <= size if result else high is not None and size > high

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """What follows when times leave a moving window: few enough, or too few."""
        low, high = self.count.bounds
        possible = ((True, high is not None), (False, low > 0))
        return (
            NO_RESULT
            if self._span is None
            else frozenset(result for result, is_possible in possible if is_possible)
        )

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives a matching event's time."""
        matches, fixed = compile_where(self.where), self._fixed_window
        if not self.where and fixed is None:
            return lambda event: [event.occurred_at]

        def extract(event: EventView) -> Summary:
            if fixed is not None and not fixed.contains(event.occurred_at):
                return None
            return [event.occurred_at] if matches(event.document) else None

        return extract

    def summary_of_times(self, times: Sequence[int]) -> Summary:
        """Returns the summary of events at these times, in any order; None if none can count."""
        fixed = self._fixed_window
        countable = times if fixed is None else [at for at in times if fixed.contains(at)]
        return sorted(countable, reverse=True)[: self.summary_size] or None

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the newest times of both."""
        if len(right) == 1 and right[0] >= left[0]:  # the usual case: a new event
            return [*right, *left[: self.summary_size - 1]]
        return sorted([*left, *right], reverse=True)[: self.summary_size]

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """Counts the times in the window; the result changes when the time that decides it leaves."""
        count_times, span, (low, high) = self._counted_times, self._span, self.count.bounds

        def evaluate(summary: Summary, clock: int) -> EvaluationResult:
            times = count_times(summary, clock)
            if high is not None and len(times) > high:
                return False, None if span is None else times[high] + span
            if len(times) < low:
                return False, None
            return True, None if span is None or low == 0 else times[low - 1] + span

        return evaluate

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Returns the count, as far as it can matter, and the newest times."""
        times = self._counted_times(summary, clock)
        return {
            "count": len(times),
            "count_is_at_least": len(times) >= self._max_counted,
            "times": [format_utc(at) for at in times[:MAX_EVIDENCE_EVENTS]],
        }

    @cached_property
    def _counted_times(self) -> Callable[[list[int] | None, int], list[int]]:
        max_counted, span = self._max_counted, self._span

        def count_times(summary: list[int] | None, clock: int) -> list[int]:
            if not summary:
                return []
            times = summary[:max_counted]
            since = EARLIEST if span is None else clock - span
            if since < times[-1] and times[0] <= clock:
                return times
            return [at for at in times if since < at <= clock]

        return count_times

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
    """Compares the age of the first or last time that the profile performed an event.

    ``older_than`` holds from the instant at which the occurrence is exactly that old.  The last time is
    the newest time of an event count, so the two conditions share a summary.
    """

    KEY: ClassVar[str] = "occurrence"
    EXAMPLES = (
        {"event": "session_started", "occurrence": "last", "older_than": "45d"},
        {"event": "login", "occurrence": "first", "newer_than": "24h"},
    )
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "properties": dict.fromkeys(("older_than", "newer_than"), OPTIONAL_DURATION),
        **exactly_one("older_than", "newer_than"),
    }

    event: EventName
    occurrence: Literal["first", "last"]
    older_than: str | None = None
    newer_than: str | None = None
    where: tuple[Comparison, ...] = ()

    def __post_init__(self) -> None:
        if (self.older_than is None) == (self.newer_than is None):
            raise InvalidRequest("`occurrence` needs exactly one of older_than, newer_than")
        parse_duration(self.older_than or self.newer_than)

    @cached_property
    def key(self) -> str:
        """The summary's key: the same for every age."""
        if self.equivalent_count is not None:
            return self.equivalent_count.key
        shared = {"event": self.event, "first": self.where}
        return msgspec.json.encode(shared, order="deterministic").decode()

    @cached_property
    def equivalent_count(self) -> EventCountCondition | None:
        """The count with the same summary, for the last occurrence; None for the first."""
        return (
            EventCountCondition(self.event, where=self.where) if self.occurrence == "last" else None
        )

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def count_can_flip(self, result: bool, size: int) -> bool:
        """Another event makes a first occurrence only older, and a last one only newer."""
        grows = (self.occurrence == "first") == (self.older_than is not None)
        return result == grows or (result and size == 1)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """One result: an occurrence only gets older."""
        return frozenset((self.older_than is not None,))

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives a matching event's time."""
        if self.equivalent_count is not None:
            return self.equivalent_count.extractor()
        matches = compile_where(self.where)
        return lambda event: event.occurred_at if matches(event.document) else None

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the earlier time, or the newest times as an event count does."""
        return (
            min(left, right)
            if self.equivalent_count is None
            else self.equivalent_count.merge_settled(left, right)
        )

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """Compares the age of the occurrence; without an occurrence neither comparison holds."""
        is_last, age = (
            self.equivalent_count is not None,
            parse_duration(self.older_than or self.newer_than),
        )
        result_if_old, result_if_new = self.older_than is not None, self.older_than is None

        def evaluate(summary: Summary, clock: int) -> EvaluationResult:
            if summary is None:
                return False, None
            old_at: int = (summary[0] if is_last else summary) + age
            return (result_if_old, None) if old_at <= clock else (result_if_new, old_at)

        return evaluate

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Returns the time of the occurrence."""
        if summary is None:
            return {"times": []}
        return {"times": [format_utc(summary if self.equivalent_count is None else summary[0])]}
