"""What happens to people that may change which segments they are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import EventView
from domain.core.ledger_time import Cause
from domain.evaluation.profile_context import StreamOwner


class EventInput(msgspec.Struct, frozen=True, gc=False):
    """A message came in."""

    cause: Cause
    stream: UUID
    owner_kind: str
    """Kind of the identifier that owns the stream."""

    kind: str
    event: EventView
    depth: int = 0
    """How many rules led to it, one after the other."""


class IdentityChange(NamedTuple):
    """It became known who is who: streams at hand that are somebody else's from now on."""

    cause: Cause
    owners: Mapping[UUID, StreamOwner]
    linked_at: int | None = None
    """When two names were shown together, in microseconds; None: somebody said so, by a merge or unmerge."""


class ListChange(NamedTuple):
    """Somebody put a person on a list, or took them off."""

    cause: Cause
    stream: UUID
    key: str
    listed: bool


EngineInput = EventInput | IdentityChange | ListChange
