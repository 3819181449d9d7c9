"""Putting people on a list that is kept by hand, and taking them off, each for themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.append.append import append_events
from application.ledger.append.prepared import Outdated, Row, microseconds, row_of
from application.ledger.ledger import Ledger
from application.ledger.read import profiles
from application.ledger.tables import definitions
from application.ledger.tables.definitions import event_id
from domain.events.events import Listed
from domain.identity.resolved_profile import Person
from domain.segments.segment import By

_NEXT = timedelta(microseconds=1)

Verdict = Literal["listed", "unchanged", "unknown", "suppressed", "contradicted"]
"""What became of one: ``contradicted`` says that the same decision wants the person on and off."""


class Wanted(NamedTuple):
    """Whom somebody wants on the list, or off it."""

    stream: UUID
    """One of the person's."""

    listed: bool


class Listing(NamedTuple):
    """What a decision about a list comes to."""

    position: int
    """The ledger's last position after it."""

    verdicts: tuple[Verdict, ...]
    """One for each that was wanted, in order."""


def put(  # noqa: PLR0917 - what a decision about a list is made of
    ledger: Ledger,
    workspace: int,
    segment: str,
    wanted: Sequence[Wanted],
    by: By,
    key: str | None,
    check: Callable[[Connection[Any]], None],
) -> Listing:
    """Record it in one transaction, in which ``check`` may refuse it.

    If somebody is erased or suppressed meanwhile, all is looked at once more.
    """
    while True:
        with suppress(Outdated), ledger.deciding(workspace) as connection:
            check(connection)
            last, erasures = definitions.head(connection, workspace)
            known = _Known.of(connection, workspace, {it.stream for it in wanted}, ledger)
            decided = _Deciding(known, segment, by, key)
            verdicts = tuple(map(decided.verdict, wanted))
            if decided.rows:
                last = append_events(connection, workspace, decided.rows, erasures)
            return Listing(last, verdicts)


class _Known(NamedTuple):
    """What the ledger knows of the people."""

    people: Mapping[UUID, Person]
    heard_of: frozenset[UUID]
    suppressed: frozenset[UUID]
    listed: Mapping[UUID, Sequence[Listed]]

    @classmethod
    def of(
        cls, connection: Connection[Any], workspace: int, streams: Collection[UUID], ledger: Ledger
    ) -> _Known:
        found = profiles.persons(
            connection, workspace, streams, partial(ledger.stream_of, workspace)
        )
        whole = {stream for person in found.values() for stream in person.streams}
        return cls(
            found,
            definitions.heard_of(connection, workspace, streams),
            definitions.suppressed(connection, workspace, whole),
            definitions.listed(connection, workspace, whole),
        )


class _Deciding:
    """Looks at one after the other, and makes the events that are needed."""

    def __init__(self, known: _Known, segment: str, by: By, key: str | None) -> None:
        self._known, self._segment, self._by, self._key = known, segment, by, key
        self._wanted: dict[UUID, bool] = {}
        self.rows: list[Row] = []

    def verdict(self, wanted: Wanted) -> Verdict:
        stream, listed = wanted
        person = self._known.people[stream]
        if not self._known.suppressed.isdisjoint(person.streams):
            return "suppressed"
        if not person.identifiers and stream not in self._known.heard_of:
            return "unknown"
        if person.id in self._wanted:  # by another of their names
            return "unchanged" if self._wanted[person.id] == listed else "contradicted"
        self._wanted[person.id] = listed
        said = [
            [it for it in self._known.listed.get(of, ()) if it.segment == self._segment]
            for of in person.streams
        ]
        last = {each[-1].listed for each in said if each}
        if last == {listed} or not (last or listed):
            return "unchanged"
        event = self._event(wanted, [it for each in said for it in each])
        if event is None:
            return "unchanged"
        self.rows.append(row_of(stream.bytes, event))
        return "listed"

    def _event(self, wanted: Wanted, said: Sequence[Listed]) -> Listed | None:
        """Return what is to be recorded; None if it was, under the same key."""
        # Later than what was said before, whatever the clocks of several servers say.
        at = max((self._by.at, *(it.occurred_at + _NEXT for it in said)))
        stream, listed = wanted
        sent = f"key {self._key}" if self._key is not None else f"at {microseconds(at)}"
        id_ = event_id(f"{stream}", self._segment, "on" if listed else "off", sent)
        if any(it.id == id_ for it in said):
            return None
        return Listed(
            id=id_,
            segment=self._segment,
            listed=listed,
            occurred_at=at,
            actor=self._by.actor,
            reason=self._by.reason,
        )
