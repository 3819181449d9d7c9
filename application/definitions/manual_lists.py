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
from application.ledger.append.prepared import EventRow, StaleErasureEpoch, event_row
from application.ledger.ledger import Ledger
from application.ledger.read import profiles
from application.ledger.tables import definitions
from application.ledger.tables.definitions import command_event_id
from domain.core.time import to_micros
from domain.events.events import ManualListChanged
from domain.identity.resolved_profile import ResolvedProfile
from domain.segments.segment import Actor

_TICK = timedelta(microseconds=1)

ManualListStatus = Literal["listed", "unchanged", "unknown", "suppressed", "contradicted"]
"""What became of one: ``contradicted`` says that the same decision wants the person on and off."""


class ManualListChange(NamedTuple):
    """Whom somebody wants on the list, or off it."""

    stream: UUID
    """One of the person's."""

    listed: bool


class ManualListResult(NamedTuple):
    """What a decision about a list comes to."""

    position: int
    """The ledger's last position after it."""

    statuses: tuple[ManualListStatus, ...]
    """One for each that was wanted, in order."""


def apply_changes(  # noqa: PLR0917 - what a decision about a list is made of
    ledger: Ledger,
    workspace: int,
    segment: str,
    changes: Sequence[ManualListChange],
    actor: Actor,
    idempotency_key: str | None,
    check: Callable[[Connection[Any]], None],
) -> ManualListResult:
    """Record it in one transaction, in which ``check`` may refuse it.

    If somebody is erased or suppressed meanwhile, all is looked at once more.
    """
    while True:
        with suppress(StaleErasureEpoch), ledger.definition_transaction(workspace) as connection:
            check(connection)
            last, erasures = definitions.head_and_erasure_epoch(connection, workspace)
            state = _ListState.load(connection, workspace, {it.stream for it in changes}, ledger)
            command = _ListCommand(state, segment, actor, idempotency_key)
            statuses = tuple(map(command.apply, changes))
            if command.rows:
                last = append_events(connection, workspace, command.rows, erasures)
            return ManualListResult(last, statuses)


class _ListState(NamedTuple):
    """What the ledger knows of the people."""

    resolved: Mapping[UUID, ResolvedProfile]
    known_streams: frozenset[UUID]
    suppressed: frozenset[UUID]
    changes_by_stream: Mapping[UUID, Sequence[ManualListChanged]]

    @classmethod
    def load(
        cls, connection: Connection[Any], workspace: int, streams: Collection[UUID], ledger: Ledger
    ) -> _ListState:
        resolved = profiles.load_profiles(
            connection, workspace, streams, partial(ledger.stream_of, workspace)
        )
        all_streams = {stream for person in resolved.values() for stream in person.streams}
        return cls(
            resolved,
            definitions.streams_with_messages(connection, workspace, streams),
            definitions.suppressed_streams(connection, workspace, all_streams),
            definitions.manual_list_changes(connection, workspace, all_streams),
        )


class _ListCommand:
    """Looks at one after the other, and makes the events that are needed."""

    def __init__(
        self, state: _ListState, segment: str, actor: Actor, idempotency_key: str | None
    ) -> None:
        self._state, self._segment, self._actor, self._idempotency_key = (
            state,
            segment,
            actor,
            idempotency_key,
        )
        self._applied: dict[UUID, bool] = {}
        self.rows: list[EventRow] = []

    def apply(self, change: ManualListChange) -> ManualListStatus:
        stream, listed = change
        profile = self._state.resolved[stream]
        if not self._state.suppressed.isdisjoint(profile.streams):
            return "suppressed"
        if not profile.identifiers and stream not in self._state.known_streams:
            return "unknown"
        if profile.id in self._applied:  # by another of their names
            return "unchanged" if self._applied[profile.id] == listed else "contradicted"
        self._applied[profile.id] = listed
        earlier = [
            [it for it in self._state.changes_by_stream.get(of, ()) if it.segment == self._segment]
            for of in profile.streams
        ]
        current = {each[-1].listed for each in earlier if each}
        if current == {listed} or not (current or listed):
            return "unchanged"
        event = self._event(change, [it for each in earlier for it in each])
        if event is None:
            return "unchanged"
        self.rows.append(event_row(stream.bytes, event))
        return "listed"

    def _event(
        self, change: ManualListChange, earlier: Sequence[ManualListChanged]
    ) -> ManualListChanged | None:
        """Return what is to be recorded; None if it was, under the same key."""
        # Later than what was said before, whatever the clocks of several servers say.
        at = max((self._actor.at, *(it.occurred_at + _TICK for it in earlier)))
        stream, listed = change
        discriminator = (
            f"key {self._idempotency_key}"
            if self._idempotency_key is not None
            else f"at {to_micros(at)}"
        )
        id_ = command_event_id(f"{stream}", self._segment, "on" if listed else "off", discriminator)
        if any(it.id == id_ for it in earlier):
            return None
        return ManualListChanged(
            id=id_,
            segment=self._segment,
            listed=listed,
            occurred_at=at,
            actor=self._actor.name,
            reason=self._actor.reason,
        )
