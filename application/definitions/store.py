"""What decisions about segments, rules and their like have in common."""

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
"""Longest id that is made of a name: there is room for a number."""


class CommandContext(NamedTuple):
    """Who decides and why.  It is kept for ever, so it must name nobody that the ledger tells of."""

    actor: str
    reason: str = ""
    idempotency_key: str | None = None
    """By which the same decision is recognised if it is sent again."""


class DefinitionStream(NamedTuple):
    """What is decided about."""

    kind: str
    """``segment``, ``rule``."""

    id: str
    stream: UUID
    version: int
    """How many decisions there were before."""

    def check_version(self, version: int | None) -> None:
        """Raise Conflict unless somebody looked at this version, if it is said at which."""
        if version not in {None, self.version}:
            raise self._version_conflict()

    def append(
        self, connection: Connection[Any], workspace: int, event: Event, key: str | None
    ) -> int:
        """Append a decision as the next in the stream, and return its position."""
        version = self.version + 1
        facts = (f"{self.stream}", f"{version}")
        id_ = definitions.command_event_id(*facts) if key is None else event_id_for_key(key)
        row = event_row(self.stream.bytes, msgspec.structs.replace(event, id=id_))
        try:
            [position] = append_versioned(connection, workspace, [(row, version)])
        except UniqueViolation:
            raise self._version_conflict() from None
        return position

    def _version_conflict(self) -> Conflict:
        return Conflict(
            f"somebody else has decided about {self.id!r} since you looked; look again, then decide",
            **{self.kind: self.id},
            version=self.version,
        )


def event_id_for_key(key: str) -> UUID:
    """Return the id of the event of a decision that was sent with a key."""
    return definitions.command_event_id("key", key)


def idempotency_key_conflict(kind: str, id_: str, position: int) -> Conflict:
    """Return what is said of a key that was another decision's."""
    return Conflict(
        "this idempotency key was that of another decision; send each with a key of its own",
        **{kind: id_},
        position=position,
    )


def free_id(kind: str, name: str, taken: Container[str]) -> str:
    """Return an id made of a name's letters and digits, with a number if others have it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain)[:_MAX_SLUG_LENGTH].strip("-") or kind
    numbered = chain([word], (f"{word}-{n}" for n in count(2)))
    return next(it for it in numbered if it not in taken)
