"""Walks: how far one profile got along the steps of a funnel."""

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
"""Event names for which a `StepMatcher` caches the possible steps."""

DocumentPredicate = Callable[[Mapping[str, Any]], bool]

_decode = msgspec.json.Decoder().decode


class StepMatcher:
    """Determines which steps an event can be: one bit each, the first step the lowest."""

    def __init__(self, steps: Sequence[EventStep]) -> None:
        self._steps = [
            (
                1 << index,
                compile_event_name(step.event),
                compile_where(step.where) if step.where else None,
            )
            for index, step in enumerate(steps)
        ]
        self._by_name: dict[str, tuple[int, Sequence[tuple[int, DocumentPredicate]]]] = {}

    def matching_bits(self, name: str, properties: str | None) -> int:
        """Returns the bits of the steps that an event can be.

        ``properties`` are JSON, decoded only if a step has conditions on them.
        """
        bits, tests = self._by_name.get(name) or self._compile_name(name)
        if tests:
            document = properties_document(properties)
            for bit, test in tests:
                if test(document):
                    bits |= bit
        return bits

    def _compile_name(self, name: str) -> tuple[int, Sequence[tuple[int, DocumentPredicate]]]:
        steps = [(bit, test) for bit, name_matches, test in self._steps if name_matches(name)]
        unconditional = sum(bit for bit, test in steps if test is None)
        compiled = unconditional, [(bit, test) for bit, test in steps if test is not None]
        if len(self._by_name) < NAME_CACHE_SIZE:
            self._by_name[name] = compiled
        return compiled


def properties_document(properties: str | None) -> Mapping[str, Any]:
    """Returns the document that conditions read, from an event's properties as JSON."""
    return {"properties": {} if properties is None else _decode(properties)}


class Walk:
    """One profile's events that can be steps, in a few bytes an instant."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._instants = [array("q") for _ in range(steps)]
        """By step: the instants of events that can be this step."""

        self._simultaneous: dict[int, list[int]] = {}
        """By instant, if it has several events: the bits of each."""

        self._last = (0, 0)

    def add(self, at: int, bits: int) -> None:
        """Adds an event, not earlier than the one added last.

        ``at`` is in microseconds; ``bits`` are those of `StepMatcher.matching_bits`.
        """
        last_at, last_bits = self._last
        if last_bits and last_at == at:
            events = self._simultaneous.setdefault(at, [last_bits])
            if events.count(bits) < self._steps:  # more of the same cannot be used
                events.append(bits)
        self._last = (at, bits)
        for step, instants in enumerate(self._instants):
            if bits >> step & 1 and not (instants and instants[-1] == at):
                instants.append(at)

    def longest_attempt(self, span: int | None) -> tuple[int, ...]:
        """Returns the times of the attempt that gets furthest; empty without a first step.

        If several attempts reach the same step, the earliest counts, with each step as early as
        possible.  ``span`` is the longest duration from first to last step, in microseconds.
        """
        best: tuple[int, ...] = ()
        for start in self._instants[0]:
            times = self._attempt_from(start, None if span is None else start + span)
            if len(times) > len(best):
                best = times
            if span is None or len(best) == self._steps:  # a later start gets no further
                break
        return best

    def _attempt_from(self, start: int, last_at: int | None) -> tuple[int, ...]:
        """Takes as many steps as possible at each instant: having taken more never gets less far."""
        times: list[int] = []
        at = start
        while True:
            times += [at] * self._simultaneous_steps(at, len(times))
            if len(times) == self._steps:
                return tuple(times)
            instants = self._instants[len(times)]
            index = bisect_right(instants, at)
            if index == len(instants) or (last_at is not None and instants[index] > last_at):
                return tuple(times)
            at = instants[index]

    def _simultaneous_steps(self, at: int, done: int) -> int:
        """Returns how many steps can be taken at an instant with an event for the next step."""
        events = self._simultaneous.get(at)
        if events is None:
            return 1
        assigned: dict[int, int] = {}
        step = done
        while step < self._steps and _assign_event(step, events, assigned, set()):
            step += 1
        return step - done


def _assign_event(
    step: int, events: Sequence[int], assigned: dict[int, int], tried: set[int]
) -> bool:
    """Assigns an event to a step, by moving other steps to other events if needed.

    One augmenting path of bipartite matching.  ``events`` are the bits of each, ``assigned`` maps an
    event's index to its step, and ``tried`` are the indexes that this path has visited.
    """
    for index, bits in enumerate(events):
        if bits >> step & 1 and index not in tried:
            tried.add(index)
            if index not in assigned or _assign_event(assigned[index], events, assigned, tried):
                assigned[index] = step
                return True
    return False
