"""How far one person went along the steps of a funnel."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from domain.conditions.event_names import compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.sequences import EventStep

NAME_CACHE_SIZE = 65_536
"""How many names a sieve remembers the steps of."""

DocumentPredicate = Callable[[Mapping[str, Any]], bool]

_decode = msgspec.json.Decoder().decode


class StepMatcher:
    """Tells which of the steps an event can be: one bit each."""

    def __init__(self, steps: Sequence[EventStep]) -> None:
        self._steps = [
            (
                1 << place,
                compile_event_name(it.event),
                compile_where(it.where) if it.where else None,
            )
            for place, it in enumerate(steps)
        ]
        self._by_name: dict[str, tuple[int, Sequence[tuple[int, DocumentPredicate]]]] = {}

    def matching_bits(self, name: str, properties: str | None) -> int:
        """Return the steps that it can be; the properties, as JSON, are read only if they matter."""
        sure, asking = self._by_name.get(name) or self._compile_name(name)
        if asking:
            said = properties_document(properties)
            for bit, test in asking:
                if test(said):
                    sure |= bit
        return sure

    def _compile_name(self, name: str) -> tuple[int, Sequence[tuple[int, DocumentPredicate]]]:
        fitting = [(bit, test) for bit, named, test in self._steps if named(name)]
        sure = sum(bit for bit, test in fitting if test is None)
        found = sure, [(bit, test) for bit, test in fitting if test is not None]
        if len(self._by_name) < NAME_CACHE_SIZE:
            self._by_name[name] = found
        return found


def properties_document(properties: str | None) -> Mapping[str, Any]:
    """Return an event's document of its properties as JSON."""
    return {"properties": {} if properties is None else _decode(properties)}


class Walk:
    """What one person did of the steps, kept in a few bytes an instant."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._instants = [array("q") for _ in range(steps)]
        """When anything was done that can be this step."""

        self._simultaneous: dict[int, list[int]] = {}
        """The bits of each event of an instant that has more than one."""

        self._last = (0, 0)

    def add(self, at: int, bits: int) -> None:
        """Add an event, not before the one added last; ``bits`` are the steps that it can be."""
        last, before = self._last
        if before and last == at:
            crowd = self._simultaneous.setdefault(at, [before])
            if crowd.count(bits) < self._steps:  # more of the same are of no more use
                crowd.append(bits)
        self._last = (at, bits)
        for place, instants in enumerate(self._instants):
            if bits >> place & 1 and not (instants and instants[-1] == at):
                instants.append(at)

    def longest_attempt(self, span: int | None) -> tuple[int, ...]:
        """Return when the steps were taken by which the person came furthest, none if not begun.

        Among ways that lead as far it is the one that begins first, and takes each step as early as it can
        be.  ``span`` is the longest from first to last step, in microseconds.
        """
        best: tuple[int, ...] = ()
        for start in self._instants[0]:
            taken = self._attempt_from(start, None if span is None else start + span)
            if len(taken) > len(best):
                best = taken
            if span is None or len(best) == self._steps:  # what begins later leads no further
                break
        return best

    def _attempt_from(self, start: int, last: int | None) -> tuple[int, ...]:
        """Take as many steps as can be at each instant: whoever is further can do what others can."""
        taken: list[int] = []
        at = start
        while True:
            taken += [at] * self._simultaneous_steps(at, len(taken))
            if len(taken) == self._steps:
                return tuple(taken)
            following = self._instants[len(taken)]
            place = bisect_right(following, at)
            if place == len(following) or (last is not None and following[place] > last):
                return tuple(taken)
            at = following[place]

    def _simultaneous_steps(self, at: int, done: int) -> int:
        """Return how many steps can be taken at an instant at which the next one can."""
        crowd = self._simultaneous.get(at)
        if crowd is None:
            return 1
        seats: dict[int, int] = {}
        step = done
        while step < self._steps and _assign_event(step, crowd, seats, set()):
            step += 1
        return step - done


def _assign_event(
    step: int, candidates: Sequence[int], assigned: dict[int, int], tried: set[int]
) -> bool:
    """Find an event for a step, each for one step alone; others may have to take another one."""
    for place, bits in enumerate(candidates):
        if bits >> step & 1 and place not in tried:
            tried.add(place)
            if place not in assigned or _assign_event(assigned[place], candidates, assigned, tried):
                assigned[place] = step
                return True
    return False
