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

from domain.conditions.names import EventName, Matching, name_test

Summary = Any
"""What is remembered: plain values that MessagePack can hold.  None: nothing yet."""


class Happened(msgspec.Struct, frozen=True, gc=False):
    """An event, as conditions look at it."""

    at: int
    """When it occurred, in microseconds since 1970 UTC."""

    id: bytes
    name: str
    document: Mapping[str, Any]
    """What is at its paths: ``{"properties": {...}}``."""

    recorded: int | None = None
    """When the ledger took it, likewise; no clock is ever before that.  None: not before it occurred."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """Something for which a summary is kept of each of a person's streams."""

    @property
    def events(self) -> tuple[EventName, ...]:
        """Which events it looks at: their names, or patterns of names."""
        raise NotImplementedError

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives the summary of one event alone; None if it does not matter."""
        raise NotImplementedError

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the summary of two summaries' events."""
        raise NotImplementedError

    def outlived(self, summary: Summary, clock: int) -> Summary:  # noqa: ARG002 - most need all
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
        return None if any(isinstance(it, Matching) for it in self.events) else names

    def watches(self, name: str) -> bool:
        """Say whether it looks at events of this name."""
        return any(name_test(it)(name) for it in self.events)

    def adder(self) -> Callable[[Summary, Happened], Summary]:
        """Return what adds one event, each handed in once, to a summary."""
        note, joined = self.noter(), self.joined

        def add(summary: Summary, happened: Happened) -> Summary:
            noted = note(happened)
            if noted is None:
                return summary
            at, recorded = happened.at, happened.recorded
            if recorded is not None:
                if isinstance(summary, dict):
                    summary = self._settled(summary, recorded).whole
                if at > recorded:
                    return self.join(summary, _Parts(None, [[at, noted]]).whole)
            if summary is None:
                return noted
            return (
                self.join(summary, noted) if isinstance(summary, dict) else joined(summary, noted)
            )

        return add

    def join(self, one: Summary, other: Summary) -> Summary:
        """Return the summary of both streams' events."""
        if one is None or other is None:
            return other if one is None else one
        if not isinstance(one, dict) and not isinstance(other, dict):
            return self.joined(one, other)
        (settled, waiting), (more, waiting_too) = _Parts.of(one), _Parts.of(other)
        return _Parts(self.join(settled, more), sorted([*waiting, *waiting_too])).whole

    @staticmethod
    def waiting(settled: Summary, coming: Sequence[tuple[int, Summary]]) -> Summary:
        """Return the summary of what has happened, and of single events by the times that are to come."""
        return _Parts(settled, sorted([at, alone] for at, alone in coming)).whole

    def pruned(self, summary: Summary, clock: int) -> Summary:
        """Return the summary without what no clock from this one on will ask for."""
        if not isinstance(summary, dict):
            return None if summary is None else self.outlived(summary, clock)
        parts = self._settled(summary, clock)
        kept = None if parts.settled is None else self.outlived(parts.settled, clock)
        return _Parts(kept, parts.waiting).whole

    def at(self, summary: Summary, clock: int) -> tuple[Summary, int | None]:
        """Return the summary of what has happened by the clock, and when the next event's time comes."""
        if not isinstance(summary, dict):
            return summary, None
        settled, waiting = self._settled(summary, clock)
        return settled, waiting[0][0] if waiting else None

    def _settled(self, summary: Summary, clock: int) -> _Parts:
        settled, waiting = _Parts.of(summary)
        for at, alone in waiting:
            if at <= clock:
                settled = self.join(settled, alone)
        return _Parts(settled, [it for it in waiting if it[0] > clock])


class _Parts(NamedTuple):
    """A summary, and those of single events whose time is still to come, the next first."""

    settled: Summary
    waiting: list[Any]

    @classmethod
    def of(cls, summary: Summary) -> _Parts:
        if isinstance(summary, dict):
            return cls(summary["settled"], summary["waiting"])
        return cls(summary, [])

    @property
    def whole(self) -> Summary:
        """As it is kept: as a dict, which no summary is by itself, only while something waits."""
        return {"settled": self.settled, "waiting": self.waiting} if self.waiting else self.settled
