"""The events of the ledger.  Facts in the past tense, never edited, only added to.

Each class has an explicit TOPIC, so that stored events do not know import paths.  Evolution is
additive: a new field has a default; a changed meaning is a new version with its upcast.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.core.identifiers import Identifier
from domain.events.message import MergePolicy, MessageKind

NIL = UUID(int=0)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A domain event.  Its stream and version are in the ledger's header, not in its state."""

    TOPIC: ClassVar[str]

    originator_id: UUID = NIL
    originator_version: int = 0

    id: UUID
    """Deterministic: the keyed digest of the message id (or of the fact itself)."""


class MessageEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event that records one message."""

    message_id: str
    kind: MessageKind
    name: str
    subject: Identifier | None = None
    """The identifier whose stream this is; None for a system event."""

    occurred_at: datetime
    sent_at: datetime | None = None
    received_at: datetime
    source: str
    payload: bytes
    raw: bytes = b""
    absorbed: tuple[Identifier, ...] = ()
    """Of an alias or merge: the identifiers that are said to be the same person."""


class EventTracked(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person did something: a track, page, screen or group call."""

    TOPIC: ClassVar[str] = "profile.tracked.v1"


class AttributesChanged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A source said what a person is like: an identify call."""

    TOPIC: ClassVar[str] = "profile.attributes_changed.v1"


class ProfilesMerged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody said that other identifiers are the same person: an alias call, or a merge."""

    TOPIC: ClassVar[str] = "profile.merged.v1"

    policy: MergePolicy = "latest"
    actor: str = ""
    reason: str = ""


class ProfilesUnmerged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody decided that the subject is not the same person as some other identifiers."""

    TOPIC: ClassVar[str] = "profile.unmerged.v1"

    apart_from: tuple[Identifier, ...] = ()
    actor: str = ""
    reason: str = ""


class IdentifiersLinked(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Two identifiers were shown together for the first time, or at an earlier time than known."""

    TOPIC: ClassVar[str] = "profile.identifiers_linked.v1"

    left: Identifier
    right: Identifier
    occurred_at: datetime
    received_at: datetime
    shown_by: UUID
    """The event whose message showed them."""


class CommandEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was decided about the streams of a person.  It is never erased, so it holds no name.

    Its stream is the person's canonical one.
    """

    streams: tuple[UUID, ...]
    occurred_at: datetime
    actor: str = ""
    """Who decided: the id of a key, never a person's name."""

    reason: str = ""


class ProfileErased(CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person was erased: what these streams held at lower positions has been blanked.

    So have the facts of other streams that named this person.
    """

    TOPIC: ClassVar[str] = "profile.erased.v1"


class ProfileSuppressed(CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on messages about any of these streams are ignored."""

    TOPIC: ClassVar[str] = "profile.suppressed.v1"


class ProfileSuppressionLifted(
    CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False
):
    """From here on messages about these streams are recorded again."""

    TOPIC: ClassVar[str] = "profile.suppression_lifted.v1"


class SegmentDefined(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody said who belongs to a segment, from this position on.

    Its stream is the segment's; ``originator_version`` counts what was decided about it.
    """

    TOPIC: ClassVar[str] = "segment.defined.v1"

    segment: str
    """The id that people and conditions call it by."""

    name: str
    description: str = ""
    condition: bytes = b""
    """As JSON, see `domain.conditions`; empty: people are put on its list by hand."""

    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class SegmentArchived(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on nobody is in the segment; what was stays known."""

    TOPIC: ClassVar[str] = "segment.archived.v1"

    segment: str
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class FunnelDefined(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody said what a saved funnel asks."""

    TOPIC: ClassVar[str] = "funnel.defined.v1"

    funnel: str
    name: str
    description: str = ""
    document: bytes
    """As JSON, see `domain.funnels`."""

    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class FunnelArchived(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The saved funnel is gone; what it was stays known."""

    TOPIC: ClassVar[str] = "funnel.archived.v1"

    funnel: str
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class ManualListChanged(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody put a person on the list of a segment, or took them off.

    Its stream is one of the person's.
    """

    TOPIC: ClassVar[str] = "profile.listed.v1"

    segment: str
    listed: bool
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class ComputedAttributeDefined(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody said what a computed attribute is, from this position on.

    Its stream is that of all computed attributes of the workspace.
    """

    TOPIC: ClassVar[str] = "computed_attribute.defined.v1"

    attribute: str
    """The id that people and conditions call it by."""

    name: str
    description: str = ""
    computation: bytes
    """As JSON, see `domain.segments.computed_attribute`."""

    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class ComputedAttributeArchived(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on nobody has a value of the computed attribute."""

    TOPIC: ClassVar[str] = "computed_attribute.archived.v1"

    attribute: str
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class SystemEventOccurred(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something happened that concerns no single person."""

    TOPIC: ClassVar[str] = "system.occurred.v1"
