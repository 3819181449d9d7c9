"""Who is in which segment, and what rules do, as events come in and as time goes by.

What happens to people is gone through in the order of the ledger.  What one does never matters to another
but by their coming to be one person, so time goes by for each by themselves: whenever it is due that an answer
changes by itself, it does so before the next that happens to them.

Asking is what costs, so it is done as seldom as can be: an event asks only those segments whose answer it
can change (`Condition.can_become`), and for each person only one instant is kept at which to ask again.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID
from weakref import proxy

from domain.conditions.base import SEVERAL, earlier
from domain.core.ledger_time import BY_ITSELF, Since
from domain.evaluation.inputs import Became, Did, Said, Step
from domain.evaluation.membership_state import Person, Standing
from domain.evaluation.profile_context import KnownOf, Stream, Whose
from domain.evaluation.rule_runner import Acting
from domain.evaluation.rule_runs import Occasion, Run
from domain.evaluation.rule_triggers import Telling
from domain.evaluation.segment_index import Change, Rules
from domain.evaluation.summaries import Value

NOBODY = frozenset[int]()


class Stay(NamedTuple):
    """A time that somebody was in a segment."""

    segment: str
    person: UUID
    entered: Since | int
    """An instant alone: before the events at hand."""

    left: Since


class Membership:
    """Some streams, the persons that they are, and where those are members."""

    def __init__(
        self,
        rules: Rules,
        streams: Mapping[UUID, Stream],
        standings: Mapping[UUID, Standing] = {},
        runs: Iterable[Run] = (),
    ) -> None:
        self._rules = rules
        self.streams = dict(streams)
        self.persons = {id_: Person(id_, it) for id_, it in standings.items()}
        self.ended: list[Stay] = []
        for id_, stream in self.streams.items():
            self._person(stream.whose.person).streams[id_] = stream
        # Held by its own parts it would stay until a search for cycles: a third of a look-back, measured.
        mine = proxy(self)
        self.acting = Acting(rules.effective, mine, runs)
        self._telling = Telling(mine, self.acting, is_needed=bool(rules.effective))

    def go_through(self, steps: Iterable[Step], until: int) -> None:
        """Take the steps, in their order, and let time go by until the end."""
        for step in steps:
            match step:
                case Did():
                    self._do(step)
                case Became():
                    self._become(step)
                case Said() if step.stream in self.streams:
                    self._say(step)
        self.wait(until)

    def wait(self, until: int) -> None:
        """Let time go by: whatever is due by then happens when it is due."""
        for person in tuple(self.persons.values()):
            self._wait(person, until)

    def decide(self, places: Collection[int], at: Since) -> None:
        """Ask everybody about segments that were decided about."""
        for person in self.persons.values():
            person.meet()
            self._settle(person, places, at)
            self._telling.decided(at, by_definition=True)

    def announce(self, occasion: Occasion) -> None:
        """Let something set off rules that concerns no single person."""
        for person in self.persons.values():
            person.meet()
        self._telling.announce(self.persons, occasion)

    def known_of(self, person: UUID) -> KnownOf:
        """Return what is known of a person by now."""
        return self._person(person).asked(self._rules)

    def segments_of(self, person: UUID) -> frozenset[str]:
        """Return the segments that a person is in by now."""
        inside = self._person(person).standing.inside
        return frozenset(self._rules.rules[it].segment for it in inside)

    def streams_of(self, person: UUID) -> Collection[UUID]:
        """Return the streams that are a person's by now."""
        return self._person(person).streams

    def note(self, stream: UUID, key: str, change: Callable[[Value], Value], at: Since) -> None:
        """Remember something else of a stream than before."""
        it = self.streams[stream]
        _remember(self.persons[it.whose.person], it, {key: change(it.memory[key])}, at)

    def _wait(self, person: Person, until: int) -> None:
        standing, acting = person.standing, self.acting
        while True:
            due = standing.due
            if acting.somebody_waits:
                due = earlier(due, acting.next_due(person.id))
            if due is None or due > until:
                return
            at = Since(due, BY_ITSELF)
            person.meet()
            if standing.due == due:
                self._settle_by_itself(person, at)
            self._telling.by_itself(person.id, at)

    def _turn_to(self, stream: Stream, at: Since) -> Person:
        """Return whose a stream is, now that what was due by then has happened to them."""
        person = self.persons[stream.whose.person]
        self._wait(person, at.at)
        person.meet()
        return person

    def _do(self, step: Did) -> None:
        known = self.streams.get(step.stream)
        stream = self._met(step) if known is None else known
        person = self._turn_to(stream, step.at)
        happened, first = step.happened, stream.first_at is None
        if stream.first_at is None or happened.at < stream.first_at:
            stream.first_at, stream.changed = happened.at, True
        told = self._telling.told(person.id, step.kind)
        changed = self._add(step, person, stream)
        created = first and sum(it.first_at is not None for it in person.streams.values()) == 1
        if created:
            person.known = None
            # Rules are told of moves in the order of the segments, whoever is asked about.
            if known is None and len(person.streams) == 1 and not self._rules.effective:
                self._meet(person, changed, step.at)
            else:
                self._settle_all(person, step.at)
        elif changed:
            self._settle(person, self._changeable(person, changed), step.at)
        self._telling.did(step, person.id, told, created=created)

    def _add(self, step: Did, person: Person, stream: Stream) -> Sequence[Change]:
        """Remember what a message adds, and return what is different, and how much there is of it."""
        memory, happened, is_alone = stream.memory, step.happened, len(person.streams) == 1
        values, changes = dict[str, Value](), list[Change]()
        for key, add in self._rules.adding(step.kind, happened.name):
            before = memory[key]
            after = add(before, happened)
            if after is not before and after != before:
                values[key] = after
                if is_alone and isinstance(after, list):  # so it is mostly
                    changes.append((key, len(after)))
                else:
                    changes.append((key, _size(person, stream, key, before, after)))
        _remember(person, stream, values, step.at)
        return changes

    def _met(self, step: Did) -> Stream:
        stream = self.streams[step.stream] = Stream(
            Whose(step.stream, step.owner), met_by=step.at.by
        )
        self._person(step.stream).streams[step.stream] = stream
        return stream

    def _say(self, step: Said) -> None:
        stream = self.streams[step.stream]
        person = self._turn_to(stream, step.at)
        _remember(person, stream, {step.key: [step.at.by, step.listed]}, step.at)
        self._settle(person, self._rules.users[step.key], step.at)
        self._telling.decided(step.at)

    def _become(self, step: Became) -> None:
        """Let streams be somebody else's: who is no more leaves, who is new or different is asked."""
        before = {id_: self.streams[id_].whose for id_ in step.whose if id_ in self.streams}
        changed = {id_ for id_, whose in step.whose.items() if before.get(id_) != whose}
        concerned = {before[it].person for it in changed if it in before}
        concerned |= {step.whose[it].person for it in changed}
        for id_ in sorted(concerned & self.persons.keys()):
            self._wait(self.persons[id_], step.at.at)
        known = self._telling.before(concerned)
        for id_ in changed:
            whose = step.whose[id_]
            stream = self.streams.setdefault(id_, Stream(whose, met_by=step.at.by))
            if id_ in before:
                del self.persons[before[id_].person].streams[id_]
            stream.whose, stream.changed = whose, True
            self._person(whose.person).streams[id_] = stream
        for id_ in sorted(concerned):
            self.persons[id_].meet()
            self.persons[id_].known = None
            self._settle_all(self.persons[id_], step.at)
        self._telling.became(step, concerned, known)

    def _changeable(self, person: Person, changes: Sequence[Change]) -> list[int]:
        """Return the places of the segments whose answers may be others after an event."""
        inside, (entered, left) = person.standing.inside, self._rules.changeable(*changes)
        return [*entered.difference(inside), *(it for it in left if it in inside)]

    def _meet(self, person: Person, changes: Sequence[Change], at: Since) -> None:
        """Ask about somebody of whom nothing is known but what is remembered of one event.

        What holds of anybody is not asked.
        """
        standing, (inside, places) = person.standing, self._rules.first_sight(*changes)
        standing.enter_all(inside, at)
        standing.due = self._ask(person, places, at)

    def _settle_all(self, person: Person, at: Since) -> None:
        """Ask again about all segments that the person may be in, or is, and when to ask next."""
        person.standing.due = self._ask(person, self._places(person), at)

    def _settle_by_itself(self, person: Person, at: Since) -> None:
        """Ask again about those of them whose answers the clock alone may have changed."""
        inside, (entered, left) = person.standing.inside, self._rules.turning
        places = self._places(person)
        if not any(it.looks_ahead(self._rules.told) for it in person.streams.values()):
            places = {it for it in places if it in (left if it in inside else entered)}
        person.standing.due = self._ask(person, places, at)

    def _places(self, person: Person) -> set[int]:
        places = {*self._rules.at_first_sight, *person.standing.inside}
        for stream in person.streams.values():
            for key in stream.memory.known():
                places |= self._rules.users[key]
        return places

    def _settle(self, person: Person, places: Collection[int], at: Since) -> None:
        """Ask again who is in these segments, and in those that ask about them if it changes."""
        due = self._ask(person, places, at)
        person.standing.due = earlier(due, person.standing.due)

    def _ask(self, person: Person, places: Collection[int], at: Since) -> int | None:
        """Ask about these segments; return when the first of the answers may change by itself."""
        if not places:
            return None
        answers, askers, inside = self._rules.answers, self._rules.askers, person.standing.inside
        known_of, clock, next_due = person.asked(self._rules), at.at, None
        known, is_somebody, waiting = known_of.known, known_of.is_somebody, sorted(places)
        for place in waiting:
            holds, due = answers[place](known, clock) if is_somebody else (False, None)
            if holds != (place in inside):
                self._move(person, place, at, holds=holds)
                for asker in askers.get(place, NOBODY).difference(waiting):
                    insort(waiting, asker)  # further on: they come after those they ask about
            if due is not None and (next_due is None or due < next_due):
                next_due = due
        return next_due

    def _move(self, person: Person, place: int, at: Since, *, holds: bool) -> None:
        standing, segment = person.standing, self._rules.rules[place].segment
        if holds:
            standing.enter(place, at)
        else:
            self.ended.append(Stay(segment, person.id, standing.leave(place), at))
        self._telling.moved(person.id, segment, entered=holds)

    def _person(self, id_: UUID) -> Person:
        person = self.persons.get(id_)
        if person is None:
            person = self.persons[id_] = Person(id_)
        return person


def _size(person: Person, stream: Stream, key: str, before: Value, after: Value) -> int | None:
    """Return how many events there are at most under a key: see `Condition.can_become`."""
    others = (it.memory[key] for it in person.streams.values() if it is not stream)
    values = [after, *(it for it in others if it is not None)]
    if any(isinstance(it, dict) for it in values):
        return None  # what is still to come may have come by the time that it is asked
    if all(isinstance(it, list) for it in values):
        return sum(map(len, values))
    return 1 if before is None and len(values) == 1 else SEVERAL


def _remember(person: Person, stream: Stream, values: Mapping[str, Value], at: Since) -> None:
    stream.remember(values, at.at)
    if person.known is not None:
        for key in values:
            person.known.forget(key)
