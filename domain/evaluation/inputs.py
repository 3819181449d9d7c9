"""What happens to people that may change which segments they are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import Happened
from domain.core.ledger_time import Since
from domain.evaluation.profile_context import Whose


class Did(msgspec.Struct, frozen=True, gc=False):
    """A message came in."""

    at: Since
    stream: UUID
    owner: str
    """Kind of the identifier that owns the stream."""

    kind: str
    happened: Happened
    depth: int = 0
    """How many rules led to it, one after the other."""


class Became(NamedTuple):
    """It became known who is who: streams at hand that are somebody else's from now on."""

    at: Since
    whose: Mapping[UUID, Whose]
    shown_at: int | None = None
    """When two names were shown together, in microseconds; None: somebody said so, by a merge or unmerge."""


class Said(NamedTuple):
    """Somebody put a person on a list, or took them off."""

    at: Since
    stream: UUID
    key: str
    listed: bool


Step = Did | Became | Said
