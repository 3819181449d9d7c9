"""What rules are told of what happens to people, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.evaluation.rule_runner import Acting
from domain.evaluation.rule_runs import Occasion

if TYPE_CHECKING:
    from domain.core.ledger_time import Since
    from domain.evaluation.engine import Membership
    from domain.evaluation.inputs import Became, Did

IDENTIFY = "identify"

Told = Mapping[str, Sequence[Any]]
"""The values of attributes whose changes set rules off."""


class Before(NamedTuple):
    """What matters of people before some of them become others."""

    persons: Mapping[UUID, UUID]
    """Who each stream was of, if that was somebody."""

    told: Mapping[UUID, Told]
    segments: Mapping[UUID, frozenset[str]]


class Telling:
    """Tells the rules of some people."""

    def __init__(self, people: Membership, acting: Acting, *, is_needed: bool) -> None:
        self.acting, self._people, self._is_needed = acting, people, is_needed
        self._moves: list[tuple[UUID, str, bool]] = []

    def moved(self, person: UUID, segment: str, *, entered: bool) -> None:
        """Note that somebody entered a segment, or left it; rules are told once all have moved."""
        if self._is_needed:
            self._moves.append((person, segment, entered))

    def by_itself(self, person: UUID, at: Since) -> None:
        """Tell what only time has caused, then let runs go on that are due."""
        self._tell_moves(Occasion("", "", {}, at, at.at))
        self.acting.pass_time(person, at)

    def decided(self, at: Since, *, by_definition: bool = False) -> None:
        """Tell what somebody's decision has caused."""
        self._tell_moves(Occasion("", "", {}, at, at.at, by_definition=by_definition))

    def told(self, person: UUID, kind: str) -> Told:
        """Return what a message of that kind may change."""
        return self.acting.told(person) if self._is_needed and kind == IDENTIFY else {}

    def did(self, step: Did, person: UUID, told: Told, *, created: bool) -> None:
        """Tell what a person did, and what came of it."""
        if not self._is_needed:
            return
        happened = step.happened
        document = {"name": happened.name, **happened.document}
        occasion = Occasion("event", happened.name, document, step.at, happened.at, step.depth)
        self.acting.comes(person, occasion)
        if created:
            turn = occasion._replace(kind="profile", subject="created", document=_CREATED)
            self.acting.take(person, step.stream, turn)
        if step.kind == IDENTIFY:
            self.acting.retold(person, step.stream, told, occasion)
        self._tell_moves(occasion)
        self.acting.take(person, step.stream, occasion)

    def before(self, persons: Iterable[UUID]) -> Before:
        """Return what matters of people before some of them become others."""
        if not self._is_needed:
            return Before({}, {}, {})
        persons = list(persons)
        real = [it for it in persons if self._people.known_of(it).is_somebody]
        return Before(
            {id_: person for person in real for id_ in self._people.streams_of(person)},
            {it: self.acting.told(it) for it in persons},
            {it: self._people.segments_of(it) for it in persons},
        )

    def became(self, step: Became, persons: Collection[UUID], before: Before) -> None:
        """Tell what came of people's being others than before."""
        if not self._is_needed:
            return
        occurred = step.at.at if step.shown_at is None else step.shown_at
        occasion = Occasion("profile", "merged", {}, step.at, occurred, by_merge=True)
        self._tell_moves(occasion, before if step.shown_at is not None else None)
        for person in sorted(persons):
            streams = self._people.streams_of(person)
            were = {before.persons[it] for it in streams if it in before.persons}
            if len(were) > 1:
                absorbed = sorted(map(str, were - {person}))
                document = {"profile": "merged", "absorbed": absorbed}
                self.acting.take(person, person, occasion._replace(document=document))
            if self._people.known_of(person).is_somebody:
                self.acting.retold(person, person, before.told.get(person, {}), occasion)

    def announce(self, persons: Iterable[UUID], occasion: Occasion) -> None:
        """Tell what concerns no single person, for each whom it may concern."""
        for person in sorted(persons):
            if self._people.known_of(person).is_somebody:
                self.acting.take(person, person, occasion)

    def _tell_moves(self, occasion: Occasion, before: Before | None = None) -> None:
        """Tell who moved; what names that were shown together brought about is as good as what was done.

        Unless a person was in the segment already under one of the names.
        """
        moves, self._moves = self._moves, []
        for person, segment, entered in moves:
            if not self._people.known_of(person).is_somebody:
                continue  # who is somebody else now did not leave
            turn = occasion._replace(
                kind="entered" if entered else "left",
                subject=segment,
                document={"segment": segment},
            )
            if before is not None:
                turn = turn._replace(by_merge=entered and self._was_in(person, segment, before))
            self.acting.take(person, person, turn)

    def _was_in(self, person: UUID, segment: str, before: Before) -> bool:
        streams = self._people.streams_of(person)
        were = {before.persons[it] for it in streams if it in before.persons}
        return any(segment in before.segments.get(it, ()) for it in were)


_CREATED = {"profile": "created"}
