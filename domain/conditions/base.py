"""What every condition is: something that holds of a person at an instant, and can say why.

Two kinds of leaves.  Some look at what the person *is* (attributes, tags, names, segments).  The others
look at what the person *did*, through a summary: a small value kept for each stream, to which events
are added in any order, and which joins with those of the person's other streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.names import EventName, Matching, name_test
from domain.conditions.values import shown

NAMES_KEPT, LONGEST_KEPT = 4_096, 256
"""How many names, and how long ones, a program remembers the answer for."""

Summary = Any
"""What a leaf remembers: plain values that MessagePack can hold.  None: nothing yet."""


class Happened(NamedTuple):
    """An event, as conditions look at it."""

    at: int
    """When it occurred, in microseconds since 1970 UTC."""

    id: bytes
    name: str
    document: Mapping[str, Any]
    """What is at its paths: ``{"properties": {...}}``."""


class Known(NamedTuple):
    """What is known of a person."""

    summaries: Mapping[str, Summary]
    """By the key of the leaf; joined over the person's streams."""

    attributes: Mapping[str, Any] = {}
    tags: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    """Kinds of identifier that the person goes by."""

    in_segment: Callable[[str], bool] = lambda _segment: False


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that holds of a person at an instant, or not."""

    KEY: ClassVar[str]
    """The member that tells this condition from the others in JSON."""

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that this one is made of; none of a leaf."""
        return ()

    def holds(self, known: Known, clock: int) -> bool:
        """Say whether it holds at the clock, in microseconds since 1970 UTC."""
        raise NotImplementedError

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return the first instant after the clock at which the answer may change by itself.

        At that very instant `holds` gives the new answer; None: it needs an event to change.
        """
        raise NotImplementedError

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return what the answer rests on, for people to read."""
        raise NotImplementedError

    def explain(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return the answer, what it rests on, and when it changes by itself."""
        changes = self.changes_at(known, clock)
        return {
            "condition": msgspec.to_builtins(self),
            "holds": self.holds(known, clock),
            "changes_at": None if changes is None else shown(changes),
            **self.evidence(known, clock),
        }


class Leaf(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on what a person did."""

    @property
    def key(self) -> str:
        """What its summaries are kept under: equal conditions share them."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def events(self) -> tuple[EventName, ...]:
        """Which events it looks at: their names, or patterns of names."""
        raise NotImplementedError

    @property
    def names(self) -> frozenset[str] | None:
        """The names of the events that it looks at; None: a pattern says which."""
        names = frozenset(it for it in self.events if isinstance(it, str))
        return None if any(isinstance(it, Matching) for it in self.events) else names

    def watches(self, name: str) -> bool:
        """Say whether it looks at events of this name."""
        return any(name_test(it)(name) for it in self.events)

    def adder(self) -> Callable[[Summary, Happened], Summary]:
        """Return what adds one event, each handed in once, to a summary."""
        raise NotImplementedError

    def join(self, one: Summary, other: Summary) -> Summary:
        """Return the summary of both streams' events."""
        raise NotImplementedError

    def pruned(self, summary: Summary, clock: int) -> Summary:  # noqa: ARG002 - most need all
        """Return the summary without what no clock from this one on will ask for."""
        return summary


class Program:
    """A condition, ready to be asked of many people: its leaves found, their tests compiled."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.leaves = {leaf.key: leaf for leaf in _leaves(condition)}

    @cached_property
    def adders(self) -> Mapping[str, Callable[[Summary, Happened], Summary]]:
        """What adds an event to each leaf's summary, by the leaf's key."""
        return {key: leaf.adder() for key, leaf in self.leaves.items()}

    def watching(self, name: str) -> tuple[str, ...]:
        """Return the keys of the leaves that look at events of this name."""
        if self._named is not None:
            return self._named.get(name, ())
        return self._watching(name) if len(name) <= LONGEST_KEPT else self._look(name)

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]] | None:
        """The keys by name; None if there is a pattern, so that any name may be looked at."""
        found: dict[str, tuple[str, ...]] = {}
        for key, leaf in self.leaves.items():
            if leaf.names is None:
                return None
            for name in leaf.names:
                found[name] = (*found.get(name, ()), key)
        return found

    @cached_property
    def _watching(self) -> Callable[[str], tuple[str, ...]]:
        return lru_cache(maxsize=NAMES_KEPT)(self._look)

    def _look(self, name: str) -> tuple[str, ...]:
        return tuple(key for key, leaf in self.leaves.items() if leaf.watches(name))


def _leaves(condition: Condition) -> list[Leaf]:
    own = [condition] if isinstance(condition, Leaf) else []
    return own + [leaf for part in condition.parts for leaf in _leaves(part)]
