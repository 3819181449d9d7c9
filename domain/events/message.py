"""A message: one call from outside, said in Foldline's words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from domain.core.identifiers import Identifier

MessageKind = Literal["track", "page", "screen", "identify", "group", "alias", "merge", "unmerge"]

MergePolicy = Literal["latest", "primary"]
"""Whose word counts after a merge: the latest said, or the primary's, gaps filled by the other's."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a source says happened, once.  Every wire format ends up here.

    ``payload`` is the JSON of the message in the canonical layout (that of Segment: ``properties``,
    ``traits``, ``context``, ... at the top level).  ``raw`` is what was received if that differs,
    else empty: the two together are the record.
    """

    kind: MessageKind
    name: str
    """Event name; ``page_view``, ``screen_view``, ``identify``, ``group``, ``alias`` for those."""

    message_id: str
    """The client's id; a message without one was given one by the server."""

    identifiers: tuple[Identifier, ...]
    """Whom it is about; empty for a system event, which concerns no single person."""

    linked: bool = True
    """Whether the dialect says that the identifiers belong to one person."""

    absorbs: tuple[Identifier, ...] = ()
    """For an alias: the names that the previous id may stand for; for a merge: the secondary."""

    apart_from: tuple[Identifier, ...] = ()
    """For an unmerge: the identifiers that the subject is to be no longer one person with."""

    policy: MergePolicy = "latest"
    actor: str = ""
    """Who decided on a merge or unmerge: the id of a key, never a person's name."""

    reason: str = ""

    occurred_at: datetime
    sent_at: datetime | None = None
    received_at: datetime
    source: str
    """The dialect that it came in, such as ``segment``."""

    payload: bytes
    raw: bytes = b""

    fingerprint: int = 0
    """What a second message with the same id is compared by: a fingerprint of at most 64 bits."""
