"""How far one person went along the steps of a funnel."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from domain.conditions.events import matcher
from domain.conditions.names import name_test
from domain.conditions.sequences import Step

NAMES_KEPT = 65_536
"""How many names a sieve remembers the steps of."""

Test = Callable[[Mapping[str, Any]], bool]

_decode = msgspec.json.Decoder().decode


class Sieve:
    """Tells which of the steps an event can be: one bit each."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = [
            (1 << place, name_test(it.event), matcher(it.where) if it.where else None)
            for place, it in enumerate(steps)
        ]
        self._known: dict[str, tuple[int, Sequence[tuple[int, Test]]]] = {}

    def bits(self, name: str, properties: str | None) -> int:
        """Return the steps that it can be; the properties, as JSON, are read only if they matter."""
        sure, asking = self._known.get(name) or self._look(name)
        if asking:
            said = document(properties)
            for bit, test in asking:
                if test(said):
                    sure |= bit
        return sure

    def _look(self, name: str) -> tuple[int, Sequence[tuple[int, Test]]]:
        fitting = [(bit, test) for bit, named, test in self._steps if named(name)]
        sure = sum(bit for bit, test in fitting if test is None)
        found = sure, [(bit, test) for bit, test in fitting if test is not None]
        if len(self._known) < NAMES_KEPT:
            self._known[name] = found
        return found


def document(properties: str | None) -> Mapping[str, Any]:
    """Return an event's document of its properties as JSON."""
    return {"properties": {} if properties is None else _decode(properties)}


class Walk:
    """What one person did of the steps, kept in a few bytes an instant."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._instants = [array("q") for _ in range(steps)]
        """When anything was done that can be this step."""

        self._crowds: dict[int, list[int]] = {}
        """The bits of each event of an instant that has more than one."""

        self._last = (0, 0)

    def add(self, at: int, bits: int) -> None:
        """Add an event, not before the one added last; ``bits`` are the steps that it can be."""
        last, before = self._last
        if before and last == at:
            crowd = self._crowds.setdefault(at, [before])
            if crowd.count(bits) < self._steps:  # more of the same are of no more use
                crowd.append(bits)
        self._last = (at, bits)
        for place, instants in enumerate(self._instants):
            if bits >> place & 1 and not (instants and instants[-1] == at):
                instants.append(at)

    def furthest(self, span: int | None) -> tuple[int, ...]:
        """Return when the steps were taken by which the person came furthest, none if not begun.

        Among ways that lead as far it is the one that begins first, and takes each step as early as it can
        be.  ``span`` is the longest from first to last step, in microseconds.
        """
        best: tuple[int, ...] = ()
        for start in self._instants[0]:
            taken = self._from(start, None if span is None else start + span)
            if len(taken) > len(best):
                best = taken
            if span is None or len(best) == self._steps:  # what begins later leads no further
                break
        return best

    def _from(self, start: int, last: int | None) -> tuple[int, ...]:
        """Take as many steps as can be at each instant: whoever is further can do what others can."""
        taken: list[int] = []
        at = start
        while True:
            taken += [at] * self._at_once(at, len(taken))
            if len(taken) == self._steps:
                return tuple(taken)
            following = self._instants[len(taken)]
            place = bisect_right(following, at)
            if place == len(following) or (last is not None and following[place] > last):
                return tuple(taken)
            at = following[place]

    def _at_once(self, at: int, done: int) -> int:
        """Return how many steps can be taken at an instant at which the next one can."""
        crowd = self._crowds.get(at)
        if crowd is None:
            return 1
        seats: dict[int, int] = {}
        step = done
        while step < self._steps and _seat(step, crowd, seats, set()):
            step += 1
        return step - done


def _seat(step: int, crowd: Sequence[int], seats: dict[int, int], tried: set[int]) -> bool:
    """Find an event for a step, each for one step alone; others may have to take another one."""
    for place, bits in enumerate(crowd):
        if bits >> step & 1 and place not in tried:
            tried.add(place)
            if place not in seats or _seat(seats[place], crowd, seats, tried):
                seats[place] = step
                return True
    return False
