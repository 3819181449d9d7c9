"""Inputs of the evaluator: what can change which segments a profile is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import EventView
from domain.core.ledger_time import Cause
from domain.evaluation.profile_context import StreamOwner


class EventInput(msgspec.Struct, frozen=True, gc=False):
    """A message of a profile."""

    cause: Cause
    stream: UUID
    owner_kind: str
    """Kind of the identifier that owns the stream."""

    kind: str
    event: EventView
    depth: int = 0
    """Number of rules that led to it, each through the event of the one before."""


class IdentityChange(NamedTuple):
    """An identity change: streams that belong to another profile from now on."""

    cause: Cause
    owners: Mapping[UUID, StreamOwner]
    """New owners, by stream, of the streams whose owner changes."""

    linked_at: int | None = None
    """When a message linked two identifiers, in microseconds; None for an explicit merge or unmerge."""


class ListChange(NamedTuple):
    """A profile was put on a manual list, or taken off."""

    cause: Cause
    stream: UUID
    key: str
    """Accumulator key of the list."""

    listed: bool


EngineInput = EventInput | IdentityChange | ListChange
