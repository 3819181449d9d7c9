"""Summaries: small mergeable values of a profile's events, in any order of arrival.

An event's time is at most the instant at which a server received it, but the ledger's clock is the
database's.  Two machines differ, so the ledger may record an event whose time is still to come, by
as much as their clocks differ.  Such an event counts from its own time on.  Until then it is pending:
kept beside the summary of the events that count.  The summary stays small by dropping what no later
clock needs, and must not drop anything because of an event that does not count yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from domain.conditions.event_names import EventName, EventNamePattern, compile_event_name

Summary = Any
"""Plain values that MessagePack can encode, but no dict at the top; None: no matching event."""


class EventView(msgspec.Struct, frozen=True, gc=False):
    """An event as conditions see it."""

    occurred_at: int
    """In microseconds since 1970 UTC."""

    id: bytes
    name: str
    document: Mapping[str, Any]
    """The values that paths refer to: ``{"properties": {...}}``."""

    recorded_at: int | None = None
    """When the ledger recorded it, in microseconds; no evaluation has an earlier clock.

    None: not before `occurred_at`.
    """


class Summarised(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """Accumulator of events, of which one summary is kept for each of a profile's streams.

    A subclass implements `events`, `extractor` and `merge_settled`, and `expire` if a summary can
    shrink as time passes.  `Leaf` lists what conditions implement besides.  The methods `merge`,
    `make_add`, `prune` and `as_of` take stored summaries, which can contain pending events; the
    methods that subclasses implement never see a pending event.
    """

    @property
    def events(self) -> tuple[EventName, ...]:
        """The names of the events that it reads, or patterns of names."""
        raise NotImplementedError

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives the summary of a single event; None if it does not match."""
        raise NotImplementedError

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the summary of the events of two summaries, neither of them None.

        Associative and commutative, so that neither order nor streams matter.
        """
        raise NotImplementedError

    def expire(self, summary: Summary, clock: int) -> Summary:  # noqa: ARG002 - most need everything
        """Returns the summary without what no evaluation at this clock or later needs."""
        return summary

    @cached_property
    def key(self) -> str:
        """The key under which summaries are stored; equal definitions share a summary."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @cached_property
    def names(self) -> frozenset[str] | None:
        """The names of the events that it reads; None if it has a pattern."""
        names = frozenset(name for name in self.events if isinstance(name, str))
        return None if any(isinstance(name, EventNamePattern) for name in self.events) else names

    def watches(self, name: str) -> bool:
        """Returns whether it reads events of this name."""
        return any(compile_event_name(event_name)(name) for event_name in self.events)

    def make_add(self) -> Callable[[Summary, EventView], Summary]:
        """Returns a function that adds an event to a stored summary; each event at most once."""
        extract, merge_settled = self.extractor(), self.merge_settled

        def add(summary: Summary, event: EventView) -> Summary:
            addition = extract(event)
            if addition is None:
                return summary
            at, recorded_at = event.occurred_at, event.recorded_at
            if recorded_at is not None:
                if isinstance(summary, dict):
                    summary = self._settle(summary, recorded_at).packed
                if at > recorded_at:
                    return self.merge(summary, _SummaryParts(None, [[at, addition]]).packed)
            if summary is None:
                return addition
            return (
                self.merge(summary, addition)
                if isinstance(summary, dict)
                else merge_settled(summary, addition)
            )

        return add

    def merge(self, left: Summary, right: Summary) -> Summary:
        """Returns the summary of the events of two stored summaries, either of which may be None."""
        if left is None or right is None:
            return right if left is None else left
        if not isinstance(left, dict) and not isinstance(right, dict):
            return self.merge_settled(left, right)
        left_parts, right_parts = _SummaryParts.unpack(left), _SummaryParts.unpack(right)
        return _SummaryParts(
            self.merge(left_parts.settled, right_parts.settled),
            sorted([*left_parts.pending, *right_parts.pending]),
        ).packed

    @staticmethod
    def with_pending(settled: Summary, pending: Sequence[tuple[int, Summary]]) -> Summary:
        """Returns the stored form of a summary and of the summaries of single pending events.

        ``pending`` are pairs of the event's time, in microseconds, and its summary.
        """
        return _SummaryParts(settled, sorted([at, summary] for at, summary in pending)).packed

    def prune(self, summary: Summary, clock: int) -> Summary:
        """Returns the stored summary without what no evaluation at this clock or later needs."""
        if not isinstance(summary, dict):
            return None if summary is None else self.expire(summary, clock)
        parts = self._settle(summary, clock)
        settled = None if parts.settled is None else self.expire(parts.settled, clock)
        return _SummaryParts(settled, parts.pending).packed

    def as_of(self, summary: Summary, clock: int) -> tuple[Summary, int | None]:
        """Returns the summary of the events up to the clock, and the time of the next pending one."""
        if not isinstance(summary, dict):
            return summary, None
        settled, pending = self._settle(summary, clock)
        return settled, pending[0][0] if pending else None

    def _settle(self, summary: Summary, clock: int) -> _SummaryParts:
        settled, pending = _SummaryParts.unpack(summary)
        for at, addition in pending:
            if at <= clock:
                settled = self.merge(settled, addition)
        return _SummaryParts(settled, [entry for entry in pending if entry[0] > clock])


class _SummaryParts(NamedTuple):
    """A summary of the events that count, and those of single pending events, the next first."""

    settled: Summary
    pending: list[Any]
    """``[occurred_at, summary]`` each."""

    @classmethod
    def unpack(cls, summary: Summary) -> _SummaryParts:
        if isinstance(summary, dict):
            return cls(summary["settled"], summary["waiting"])
        return cls(summary, [])

    @property
    def packed(self) -> Summary:
        """The stored form: a dict only while events are pending, which no plain summary is."""
        return {"settled": self.settled, "waiting": self.pending} if self.pending else self.settled
