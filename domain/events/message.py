"""A message: one call of a client, normalised from its wire format."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from domain.core.identifiers import Identifier

MessageKind = Literal["track", "page", "screen", "identify", "group", "alias", "merge", "unmerge"]

MergePolicy = Literal["latest", "primary"]
"""Which values win after a merge: the latest, or the primary's with gaps filled by the secondary's."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message in canonical form, which all wire formats are parsed into.

    ``payload`` is the JSON of the message in the canonical layout (Segment's: ``properties``,
    ``traits``, ``context``, … at the top level).  ``raw`` is the received body if it differs from
    ``payload``, else empty.
    """

    kind: MessageKind
    name: str
    """The event's name; of other kinds ``page_view``, ``screen_view``, ``identify``, ``group``, ``alias``."""

    message_id: str
    """The client's id; the server generates one for a message without."""

    identifiers: tuple[Identifier, ...]
    """The profile's identifiers; empty for a system event, which concerns no single profile."""

    linked: bool = True
    """Whether the identifiers belong to one profile, by the rules of the wire format."""

    absorbs: tuple[Identifier, ...] = ()
    """Of an alias: the identifiers that the previous id may mean; of a merge: the secondary."""

    apart_from: tuple[Identifier, ...] = ()
    """Of an unmerge: the identifiers that the subject is separated from."""

    policy: MergePolicy = "latest"
    actor: str = ""
    """Of a merge or unmerge: the id of the API key that requested it, never personal data."""

    reason: str = ""

    occurred_at: datetime
    sent_at: datetime | None = None
    received_at: datetime
    source: str
    """The wire format that it was received in, such as ``segment``."""

    payload: bytes
    raw: bytes = b""

    fingerprint: int = 0
    """Hash of the content, at most 64 bits: tells a repeated message from a reused message id."""
