"""Common parts of commands about definitions: context, stream, idempotency keys and ids."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from itertools import chain, count
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.errors import UniqueViolation

from application.ledger.append.append import append_versioned
from application.ledger.append.prepared import event_row
from application.ledger.tables import definitions
from domain.core.errors import Conflict
from domain.events.events import Event

_MAX_SLUG_LENGTH = 50
"""Maximum length of an id derived from a name; leaves room for a number."""


class CommandContext(NamedTuple):
    """Actor and reason of a command.  Stored permanently: they must not identify a profile."""

    actor: str
    reason: str = ""
    idempotency_key: str | None = None
    """Identifies the command if it is sent again."""


class DefinitionStream(NamedTuple):
    """The event stream of one definition, at a version."""

    kind: str
    """``segment``, ``rule``, ``funnel`` or ``attribute``; a key of error details."""

    id: str
    stream: UUID
    version: int
    """Number of events in the stream."""

    def check_version(self, version: int | None) -> None:
        """Raises Conflict unless ``version`` is the current version; None: any version."""
        if version is not None and version != self.version:
            raise self._version_conflict(version)

    def append(
        self,
        connection: Connection[Any],
        workspace: int,
        event: Event,
        idempotency_key: str | None,
    ) -> int:
        """Appends an event to the stream, and returns its position.

        Raises Conflict if another command was recorded meanwhile.
        """
        version = self.version + 1
        id_ = (
            definitions.command_event_id(f"{self.stream}", f"{version}")
            if idempotency_key is None
            else event_id_for_key(idempotency_key)
        )
        row = event_row(self.stream.bytes, msgspec.structs.replace(event, id=id_))
        try:
            [position] = append_versioned(connection, workspace, [(row, version)])
        except UniqueViolation:
            raise self._version_conflict(self.version) from None
        return position

    def _version_conflict(self, expected: int) -> Conflict:
        return Conflict(
            f"version conflict: {self.id!r} changed since version {expected}; fetch it and retry",
            **{self.kind: self.id},
            version=self.version,
        )


def event_id_for_key(key: str) -> UUID:
    """Returns the id of the event that a command with this idempotency key records."""
    return definitions.command_event_id("key", key)


def idempotency_key_conflict(kind: str, id_: str, position: int) -> Conflict:
    """Returns the error for a key that was used for another command."""
    return Conflict(
        "this idempotency key was used for a different request; use a new key",
        **{kind: id_},
        position=position,
    )


def free_id(kind: str, name: str, taken: Container[str]) -> str:
    """Returns an unused id made of a name's letters and digits, with a number if needed."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain)[:_MAX_SLUG_LENGTH].strip("-") or kind
    numbered = chain([word], (f"{word}-{n}" for n in count(2)))
    return next(id_ for id_ in numbered if id_ not in taken)
