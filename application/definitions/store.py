"""Definitions of one kind, folded in the transaction of a command that changes one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from application.ledger.tables.definitions import command_event_id
from domain.core.errors import Conflict
from domain.definitions.definition import Definition
from domain.events.events import DefinitionEvent
from domain.events.recorded import RecordedEvent

_MAX_SLUG_LENGTH = 50
"""Maximum length of an id derived from a name; leaves room for a number."""

D = TypeVar("D", bound=Definition)


class CommandContext(NamedTuple):
    """Actor and reason of a command.  Stored permanently: they must not identify a profile."""

    actor: str
    reason: str = ""
    idempotency_key: str | None = None
    """Identifies the command if it is sent again."""


class DefinitionResult(NamedTuple, Generic[D]):
    """Result of a command about a definition."""

    state: D
    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int
    """Position of the event that led to this state."""

    created: bool = False
    """Whether it did not exist before."""


class StaleStream(Exception):
    """Another command was recorded in the stream meanwhile."""


class DefinitionLog(Protocol):
    """Where the events of one kind of definitions are kept, in the transaction of a command."""

    def stream(self, id_: str) -> UUID:
        """Returns the stream of a definition; several definitions may share one."""
        ...

    def events(self) -> Iterable[RecordedEvent]:
        """Returns the events of all definitions of the kind, those of each in order."""
        ...

    def append(self, stream: UUID, version: int, event: DefinitionEvent) -> int:
        """Appends an event as a version of a stream; returns its position.  Raises StaleStream."""
        ...


class DefinitionStore(Generic[D]):
    """The definitions of one kind in a workspace, loaded from their log."""

    def __init__(self, kind: type[D], log: DefinitionLog) -> None:
        self._kind, self._log = kind, log
        self._states: dict[str, D] = {}
        self._last: dict[str, RecordedEvent] = {}
        self._by_event_id: dict[UUID, RecordedEvent] = {}
        self._stream_versions: dict[UUID, int] = {}
        for recorded in log.events():
            self._fold(recorded)

    def get(self, id_: str) -> D:
        """Returns a definition; one that was never defined has version 0."""
        return self._states.get(id_) or self._kind(id_)

    def active(self) -> Iterator[D]:
        """Yields the definitions that exist, without archived ones."""
        return (state for state in self._states.values() if state.exists)

    def check_version(self, id_: str, version: int | None) -> None:
        """Raises Conflict unless ``version`` is the current version; None: any version."""
        if version is not None and version != self.get(id_).version:
            raise self._version_conflict(id_, version)

    def replayed(
        self, id_: str | None, content: object, idempotency_key: str | None
    ) -> DefinitionResult[D] | None:
        """Returns the result of a command that was sent before with this key; None if it is new.

        Raises Conflict if the key was used for another command.
        """
        if idempotency_key is None:
            return None
        recorded = self._by_event_id.get(event_id_for_key(idempotency_key))
        if recorded is None:
            return None
        event = definition_event(recorded)
        used_for = self._kind.id_in(event)
        if id_ not in {None, used_for} or self._kind.content_of(event) != content:
            raise Conflict(
                "this idempotency key was used for a different request; use a new key",
                **{self._kind.KEY: used_for},
                position=recorded.position,
            )
        return DefinitionResult(self.get(used_for), changed=False, position=recorded.position)

    def append(
        self, id_: str, event: DefinitionEvent | None, idempotency_key: str | None
    ) -> DefinitionResult[D]:
        """Appends an event about a definition; without one, nothing changes.

        Raises Conflict if another command was recorded meanwhile.
        """
        state = self.get(id_)
        if event is None:
            return DefinitionResult(state, changed=False, position=self._last[id_].position)
        stream = self._log.stream(id_)
        version = self._stream_versions.get(stream, 0) + 1
        event_id = (
            command_event_id(f"{stream}", f"{version}")
            if idempotency_key is None
            else event_id_for_key(idempotency_key)
        )
        try:
            position = self._log.append(
                stream, version, msgspec.structs.replace(event, id=event_id)
            )
        except StaleStream:
            raise self._version_conflict(id_, state.version) from None
        return DefinitionResult(
            state.apply(event), changed=True, position=position, created=not state.exists
        )

    def _fold(self, recorded: RecordedEvent) -> None:
        event = definition_event(recorded)
        id_ = self._kind.id_in(event)
        self._states[id_] = self.get(id_).apply(event)
        self._last[id_] = self._by_event_id[event.id] = recorded
        self._stream_versions[recorded.stream] = recorded.version

    def _version_conflict(self, id_: str, expected: int) -> Conflict:
        details: dict[str, Any] = {self._kind.KEY: id_, "version": self.get(id_).version}
        return Conflict(
            f"version conflict: {id_!r} changed since version {expected}; fetch it and retry",
            **details,
        )


def definition_event(recorded: RecordedEvent) -> DefinitionEvent:
    """Returns the event about a definition; such events are never erased."""
    event = recorded.event
    assert isinstance(event, DefinitionEvent)
    return event


def event_id_for_key(key: str) -> UUID:
    """Returns the id of the event that a command with this idempotency key records."""
    return command_event_id("key", key)


def candidate_ids(kind: type[Definition], name: str) -> Iterator[str]:
    """Yields ids made of a name's letters and digits, the later ones with a number."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain)[:_MAX_SLUG_LENGTH].strip("-") or kind.KEY
    return chain([word], (f"{word}-{number}" for number in count(2)))
