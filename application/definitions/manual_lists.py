"""Changes to manual lists: each profile is added or removed on its own."""

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
from domain.core.actor import Actor
from domain.core.time import to_micros
from domain.events.events import ManualListChanged
from domain.identity.resolved_profile import ResolvedProfile

_TICK = timedelta(microseconds=1)

ManualListStatus = Literal["listed", "unchanged", "unknown", "suppressed", "contradicted"]
"""Result of one change; ``contradicted``: the same command both adds and removes the profile."""


class ManualListChange(NamedTuple):
    """A profile to add to a list, or to remove from it."""

    stream: UUID
    """One of the profile's streams."""

    listed: bool


class ManualListResult(NamedTuple):
    """Result of a command about a manual list."""

    position: int
    """The ledger head after the command."""

    statuses: tuple[ManualListStatus, ...]
    """One for each change, in order."""


def apply_changes(  # noqa: PLR0917 - the parts of one command
    ledger: Ledger,
    workspace: int,
    segment: str,
    changes: Sequence[ManualListChange],
    actor: Actor,
    idempotency_key: str | None,
    check: Callable[[Connection[Any]], None],
) -> ManualListResult:
    """Records the changes in one transaction, in which ``check`` may refuse the command.

    If a profile is erased or suppressed meanwhile, the command starts over.
    """
    while True:
        with suppress(StaleErasureEpoch), ledger.definition_transaction(workspace) as connection:
            check(connection)
            head, erasure_epoch = definitions.head_and_erasure_epoch(connection, workspace)
            streams = {change.stream for change in changes}
            state = _ListState.load(connection, workspace, streams, ledger)
            command = _ListCommand(state, segment, actor, idempotency_key)
            statuses = tuple(map(command.apply, changes))
            if command.rows:
                head = append_events(connection, workspace, command.rows, erasure_epoch)
            return ManualListResult(head, statuses)


class _ListState(NamedTuple):
    """What the ledger knows about the profiles of a command, by stream."""

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
        all_streams = {stream for profile in resolved.values() for stream in profile.streams}
        return cls(
            resolved,
            definitions.streams_with_messages(connection, workspace, streams),
            definitions.suppressed_streams(connection, workspace, all_streams),
            definitions.manual_list_changes(connection, workspace, all_streams),
        )


class _ListCommand:
    """Applies changes one after the other, and collects the events to record."""

    def __init__(
        self, state: _ListState, segment: str, actor: Actor, idempotency_key: str | None
    ) -> None:
        self._state, self._segment = state, segment
        self._actor, self._idempotency_key = actor, idempotency_key
        self._applied: dict[UUID, bool] = {}
        self.rows: list[EventRow] = []

    def apply(self, change: ManualListChange) -> ManualListStatus:
        stream, listed = change
        profile = self._state.resolved[stream]
        if not self._state.suppressed.isdisjoint(profile.streams):
            return "suppressed"
        if not profile.identifiers and stream not in self._state.known_streams:
            return "unknown"
        if profile.id in self._applied:  # under another identifier
            return "unchanged" if self._applied[profile.id] == listed else "contradicted"
        self._applied[profile.id] = listed
        earlier_by_stream = [
            [
                event
                for event in self._state.changes_by_stream.get(profile_stream, ())
                if event.segment == self._segment
            ]
            for profile_stream in profile.streams
        ]
        current = {events[-1].listed for events in earlier_by_stream if events}
        if current == {listed} or not (current or listed):
            return "unchanged"
        event = self._event(change, [event for events in earlier_by_stream for event in events])
        if event is None:
            return "unchanged"
        self.rows.append(event_row(stream.bytes, event))
        return "listed"

    def _event(
        self, change: ManualListChange, earlier: Sequence[ManualListChanged]
    ) -> ManualListChanged | None:
        """Returns the event to record; None if it was recorded before under the same key."""
        # Later than earlier changes, even if the clocks of several servers differ.
        occurred_at = max((self._actor.at, *(e.occurred_at + _TICK for e in earlier)))
        stream, listed = change
        discriminator = (
            f"key {self._idempotency_key}"
            if self._idempotency_key is not None
            else f"at {to_micros(occurred_at)}"
        )
        id_ = command_event_id(f"{stream}", self._segment, "on" if listed else "off", discriminator)
        if any(event.id == id_ for event in earlier):
            return None
        return ManualListChanged(
            id=id_,
            segment=self._segment,
            listed=listed,
            occurred_at=occurred_at,
            actor=self._actor.name,
            reason=self._actor.reason,
        )
