"""Who is in which segment, as events come in and as time goes by.

Works on households: streams that may come to be one person with each other.  What one household does
never matters to another, so each is gone through by itself, in the order of the ledger; whenever it is
due that an answer changes by itself, it does so before the next event.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from domain.conditions import Happened
from domain.known import KnownOf, Stream, Whose
from domain.memories import Value
from domain.rules import Rules

BY_ITSELF = 0
"""Stands for the position of what only time has caused."""


class Since(NamedTuple):
    """When somebody entered a segment, or left it."""

    at: int
    """In microseconds since 1970 UTC, on the ledger's clock."""

    by: int
    """Position of the event that did it, or BY_ITSELF."""


class Stay(NamedTuple):
    """A time that somebody was in a segment, or still is."""

    segment: str
    person: UUID
    entered: Since
    left: Since | None = None


class Did(NamedTuple):
    """A message came in."""

    at: Since
    stream: UUID
    owner: str
    """Kind of the identifier that owns the stream."""

    kind: str
    happened: Happened


class Became(NamedTuple):
    """It became known who is who: streams of the household that are somebody else's from now on."""

    at: Since
    whose: Mapping[UUID, Whose]


class Said(NamedTuple):
    """Somebody put a person on a list, or took them off."""

    at: Since
    stream: UUID
    key: str
    listed: bool


Step = Did | Became | Said


class Household:
    """Some streams, the persons that they are, and where those are members."""

    def __init__(
        self,
        rules: Rules,
        streams: Mapping[UUID, Stream],
        stays: Iterable[Stay] = (),
        timers: Mapping[tuple[UUID, str], int] = {},
    ) -> None:
        self._rules = rules
        self.streams = dict(streams)
        self.touched: dict[tuple[UUID, str], int] = {}
        """Streams and keys of which something else is remembered than before, and when that came.

        An empty key stands for the stream itself.
        """

        self.ended: list[Stay] = []
        self.stays: dict[UUID, dict[int, Since]] = {}
        """By person and place of the segment, those that have not ended."""

        self.timers: dict[UUID, dict[int, int]] = {}
        """When each answer may change by itself, likewise."""

        for stay in stays:
            place = rules.place[stay.segment]
            self.stays.setdefault(stay.person, {})[place] = stay.entered
        for (person, segment), due in timers.items():
            self.timers.setdefault(person, {})[rules.place[segment]] = due
        self._persons: dict[UUID, list[UUID]] = {}
        self._known: dict[UUID, KnownOf] = {}
        for id_, stream in self.streams.items():
            self._persons.setdefault(stream.whose.person, []).append(id_)

    def go_through(self, steps: Sequence[Step], until: int) -> None:
        """Take the steps, in their order, and let time go by until the end."""
        for step in steps:
            self.wait(step.at.at)
            match step:
                case Did():
                    self._do(step)
                case Became():
                    self._become(step)
                case Said() if step.stream in self.streams:
                    self._remember(step.stream, step.key, [step.at.by, step.listed], step.at.at)
                    self._ask(self._person_of(step.stream), {step.key}, step.at)
        self.wait(until)

    def wait(self, until: int) -> None:
        """Let time go by: whatever is due by then happens when it is due."""
        for person in list(self.timers):
            while (due := min(self.timers[person].values(), default=until + 1)) <= until:
                places = {place for place, at in self.timers[person].items() if at == due}
                self.settle(person, places, Since(due, BY_ITSELF))

    def settle(self, person: UUID, places: Collection[int], at: Since) -> None:
        """Ask again who is in these segments, and in those that ask about them if it changes."""
        rules, inside = self._rules, self.stays.setdefault(person, {})
        known = self._known_of(person, inside)
        timers = self.timers.setdefault(person, {})
        waiting, seen = sorted(places), set(places)
        while waiting:
            place = heapq.heappop(waiting)
            segment, condition = rules.rules[place]
            holds = known.is_somebody and condition.holds(known.known, at.at)
            if holds != (place in inside):
                if holds:
                    inside[place] = at
                else:
                    self.ended.append(Stay(segment, person, inside.pop(place), at))
                for asker in rules.askers.get(place, frozenset()) - seen:
                    seen.add(asker)
                    heapq.heappush(waiting, asker)
            due = condition.changes_at(known.known, at.at) if known.is_somebody else None
            if due is None:
                timers.pop(place, None)
            else:
                timers[place] = due

    def _do(self, step: Did) -> None:
        if step.stream not in self.streams:
            self.streams[step.stream] = Stream(Whose(step.stream, step.owner))
            self._persons.setdefault(step.stream, []).append(step.stream)
        stream = self.streams[step.stream]
        happened, first = step.happened, stream.first_at is None
        if stream.first_at is None or happened.at < stream.first_at:
            stream.first_at = happened.at
            self.touched[step.stream, ""] = step.at.at
        changed = set()
        for key in self._rules.watching(step.kind, happened.name):
            before = stream.memory.get(key)
            after = self._rules.adders[key](before, happened)
            if after is not before and after != before:
                self._remember(step.stream, key, after, step.at.at)
                changed.add(key)
        person = stream.whose.person
        if first and len(self._own_first(person)) == 1:
            self._forget(person)
            self.settle(person, self._relevant(person), step.at)
        else:
            self._ask(person, changed, step.at)

    def _ask(self, person: UUID, keys: Collection[str], at: Since) -> None:
        places = {place for key in keys for place in self._rules.users.get(key, ())}
        if places:
            self.settle(person, places, at)

    def _become(self, step: Became) -> None:
        """Let streams be somebody else's: who is no more leaves, who is new or different is asked."""
        before = {id_: self.streams[id_].whose for id_ in step.whose if id_ in self.streams}
        changed = {id_ for id_, whose in step.whose.items() if before.get(id_) != whose}
        if not changed:
            return
        persons = {before[it].person for it in changed if it in before}
        for id_ in changed:
            self.touched[id_, ""] = step.at.at
            if id_ in self.streams:
                self.streams[id_].whose = step.whose[id_]
            else:
                self.streams[id_] = Stream(step.whose[id_])
            persons.add(step.whose[id_].person)
        self._persons = {}
        for id_, stream in self.streams.items():
            self._persons.setdefault(stream.whose.person, []).append(id_)
        for person in sorted(persons):
            self._forget(person)
            self.settle(person, self._relevant(person), step.at)

    def _relevant(self, person: UUID) -> set[int]:
        """Return the places of all segments that the person may be in, or is."""
        rules = self._rules
        keys = {key for it in self._persons.get(person, ()) for key in self.streams[it].memory}
        return {
            *rules.at_first_sight,
            *(place for key in keys for place in rules.users.get(key, ())),
            *self.stays.get(person, ()),
            *self.timers.get(person, ()),
        }

    def _own_first(self, person: UUID) -> list[UUID]:
        return [it for it in self._persons.get(person, ()) if self.streams[it].first_at is not None]

    def _remember(self, stream: UUID, key: str, value: Value, at: int) -> None:
        self.streams[stream].memory[key] = value
        self.touched[stream, key] = at
        known = self._known.get(self.streams[stream].whose.person)
        if known is not None:
            known.forget(key)

    def _person_of(self, stream: UUID) -> UUID:
        return self.streams[stream].whose.person

    def _forget(self, person: UUID) -> None:
        self._known.pop(person, None)

    def _known_of(self, person: UUID, inside: Mapping[int, Since]) -> KnownOf:
        known = self._known.get(person)
        if known is None:
            streams = [self.streams[it] for it in sorted(self._persons.get(person, ()))]
            known = self._known[person] = KnownOf(
                self._rules, streams, lambda segment: self._rules.place.get(segment) in inside
            )
        return known
