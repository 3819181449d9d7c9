"""What is remembered of the things that a person did: summaries to which events are added in any order.

An event's time is at most that at which a server received it; the clock is the database's.  The two are
different machines, so the ledger may take an event whose time is still to come, by as much as their
clocks differ.  Such an event counts from its own time on.  Until then it waits beside the summary, which
is small because it leaves out what no later clock asks for: it must not leave out for the sake of
something that does not count yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from domain.conditions.event_names import EventName, EventNamePattern, compile_event_name

Summary = Any
"""What is remembered: plain values that MessagePack can hold.  None: nothing yet."""


class EventView(msgspec.Struct, frozen=True, gc=False):
    """An event, as conditions look at it."""

    occurred_at: int
    """When it occurred, in microseconds since 1970 UTC."""

    id: bytes
    name: str
    document: Mapping[str, Any]
    """What is at its paths: ``{"properties": {...}}``."""

    recorded_at: int | None = None
    """When the ledger took it, likewise; no clock is ever before that.  None: not before it occurred."""


class Summarised(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """Something for which a summary is kept of each of a person's streams."""

    @property
    def events(self) -> tuple[EventName, ...]:
        """Which events it looks at: their names, or patterns of names."""
        raise NotImplementedError

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives the summary of one event alone; None if it does not matter."""
        raise NotImplementedError

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the summary of two summaries' events."""
        raise NotImplementedError

    def expire(self, summary: Summary, clock: int) -> Summary:  # noqa: ARG002 - most need all
        """Return the summary without what no clock from this one on will ask for."""
        return summary

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under: equals share them."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @cached_property
    def names(self) -> frozenset[str] | None:
        """The names of the events that it looks at; None: a pattern says which."""
        names = frozenset(it for it in self.events if isinstance(it, str))
        return None if any(isinstance(it, EventNamePattern) for it in self.events) else names

    def watches(self, name: str) -> bool:
        """Say whether it looks at events of this name."""
        return any(compile_event_name(it)(name) for it in self.events)

    def make_add(self) -> Callable[[Summary, EventView], Summary]:
        """Return what adds one event, each handed in once, to a summary."""
        note, joined = self.extractor(), self.merge_settled

        def add(summary: Summary, happened: EventView) -> Summary:
            noted = note(happened)
            if noted is None:
                return summary
            at, recorded = happened.occurred_at, happened.recorded_at
            if recorded is not None:
                if isinstance(summary, dict):
                    summary = self._settle(summary, recorded).packed
                if at > recorded:
                    return self.merge(summary, _SummaryParts(None, [[at, noted]]).packed)
            if summary is None:
                return noted
            return (
                self.merge(summary, noted) if isinstance(summary, dict) else joined(summary, noted)
            )

        return add

    def merge(self, one: Summary, other: Summary) -> Summary:
        """Return the summary of both streams' events."""
        if one is None or other is None:
            return other if one is None else one
        if not isinstance(one, dict) and not isinstance(other, dict):
            return self.merge_settled(one, other)
        (settled, waiting), (more, waiting_too) = (
            _SummaryParts.unpack(one),
            _SummaryParts.unpack(other),
        )
        return _SummaryParts(self.merge(settled, more), sorted([*waiting, *waiting_too])).packed

    @staticmethod
    def with_pending(settled: Summary, pending: Sequence[tuple[int, Summary]]) -> Summary:
        """Return the summary of what has happened, and of single events by the times that are to come."""
        return _SummaryParts(settled, sorted([at, alone] for at, alone in pending)).packed

    def prune(self, summary: Summary, clock: int) -> Summary:
        """Return the summary without what no clock from this one on will ask for."""
        if not isinstance(summary, dict):
            return None if summary is None else self.expire(summary, clock)
        parts = self._settle(summary, clock)
        kept = None if parts.settled is None else self.expire(parts.settled, clock)
        return _SummaryParts(kept, parts.pending).packed

    def as_of(self, summary: Summary, clock: int) -> tuple[Summary, int | None]:
        """Return the summary of what has happened by the clock, and when the next event's time comes."""
        if not isinstance(summary, dict):
            return summary, None
        settled, waiting = self._settle(summary, clock)
        return settled, waiting[0][0] if waiting else None

    def _settle(self, summary: Summary, clock: int) -> _SummaryParts:
        settled, waiting = _SummaryParts.unpack(summary)
        for at, alone in waiting:
            if at <= clock:
                settled = self.merge(settled, alone)
        return _SummaryParts(settled, [it for it in waiting if it[0] > clock])


class _SummaryParts(NamedTuple):
    """A summary, and those of single events whose time is still to come, the next first."""

    settled: Summary
    pending: list[Any]

    @classmethod
    def unpack(cls, summary: Summary) -> _SummaryParts:
        if isinstance(summary, dict):
            return cls(summary["settled"], summary["waiting"])
        return cls(summary, [])

    @property
    def packed(self) -> Summary:
        """As it is kept: as a dict, which no summary is by itself, only while something waits."""
        return {"settled": self.settled, "waiting": self.pending} if self.pending else self.settled
