"""The events of the ledger: facts in the past tense, appended and never changed.

Each class has an explicit TOPIC, so that stored events are independent of import paths.  Evolution is
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
    """A domain event.  Its stream and version are stored beside its state, not in it."""

    TOPIC: ClassVar[str]

    originator_id: UUID = NIL
    originator_version: int = 0

    id: UUID
    """Deterministic: the keyed digest of the message id, or of the fact itself."""


class MessageEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event that records one message, with the fields of `domain.events.message.Message`."""

    message_id: str
    kind: MessageKind
    name: str
    subject: Identifier | None = None
    """The identifier whose stream the event is in; None for a system event."""

    occurred_at: datetime
    sent_at: datetime | None = None
    received_at: datetime
    source: str
    payload: bytes
    raw: bytes = b""
    absorbed: tuple[Identifier, ...] = ()
    """Of an alias or merge: the identifiers that the subject's profile absorbs."""


class EventTracked(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A profile's activity was tracked: a track, page, screen or group call."""

    TOPIC: ClassVar[str] = "profile.tracked.v1"


class AttributesChanged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A source sent attributes of a profile: an identify call."""

    TOPIC: ClassVar[str] = "profile.attributes_changed.v1"


class ProfilesMerged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Identifiers were merged into the subject's profile: an alias call or a merge command."""

    TOPIC: ClassVar[str] = "profile.merged.v1"

    policy: MergePolicy = "latest"
    actor: str = ""
    reason: str = ""


class ProfilesUnmerged(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The subject was separated from other identifiers: an unmerge command."""

    TOPIC: ClassVar[str] = "profile.unmerged.v1"

    apart_from: tuple[Identifier, ...] = ()
    actor: str = ""
    reason: str = ""


class IdentifiersLinked(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message carried two identifiers together, for the first time or earlier than known."""

    TOPIC: ClassVar[str] = "profile.identifiers_linked.v1"

    left: Identifier
    right: Identifier
    occurred_at: datetime
    received_at: datetime
    shown_by: UUID
    """Id of the event that records the message."""


class CommandEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A command about a profile's streams.  Never erased, so it holds no personal data.

    Recorded in the profile's canonical stream.
    """

    streams: tuple[UUID, ...]
    occurred_at: datetime
    actor: str = ""
    """Id of the API key that requested it, never personal data."""

    reason: str = ""


class ProfileErased(CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A profile was erased: the events of its streams at lower positions have been blanked.

    So have the identity events in other streams that named the profile.
    """

    TOPIC: ClassVar[str] = "profile.erased.v1"


class ProfileSuppressed(CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A profile was suppressed: later messages that name any of its streams are dropped."""

    TOPIC: ClassVar[str] = "profile.suppressed.v1"


class ProfileSuppressionLifted(
    CommandEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False
):
    """A suppression was lifted: later messages that name these streams are recorded again."""

    TOPIC: ClassVar[str] = "profile.suppression_lifted.v1"


class DefinitionEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A definition changed.  Never erased, so it holds no personal data.

    Recorded in the definition's stream; ``originator_version`` is the version of the definition.
    """

    occurred_at: datetime
    actor: str = ""
    """Id of the API key that requested it, never personal data."""

    reason: str = ""


class DefinedEvent(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A definition was created or replaced; valid from this position on."""

    name: str
    description: str = ""


class SegmentDefined(DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A segment was defined or replaced."""

    TOPIC: ClassVar[str] = "segment.defined.v1"

    segment: str
    """The segment's id in the API and in conditions."""

    condition: bytes = b""
    """JSON, see `domain.conditions`; empty for a manual list."""


class SegmentArchived(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A segment was archived: it has no members any more; its history stays."""

    TOPIC: ClassVar[str] = "segment.archived.v1"

    segment: str


class FunnelDefined(DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A saved funnel was defined or replaced."""

    TOPIC: ClassVar[str] = "funnel.defined.v1"

    funnel: str
    document: bytes
    """JSON, see `domain.funnels`."""


class FunnelArchived(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A saved funnel was archived; its definitions stay."""

    TOPIC: ClassVar[str] = "funnel.archived.v1"

    funnel: str


class ManualListChanged(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A profile was added to a manual list or removed from it.

    Recorded in one of the profile's streams.
    """

    TOPIC: ClassVar[str] = "profile.listed.v1"

    segment: str
    listed: bool
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class ComputedAttributeDefined(
    DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False
):
    """A computed attribute was defined or replaced.

    Recorded in the stream of all computed attributes of the workspace.
    """

    TOPIC: ClassVar[str] = "computed_attribute.defined.v1"

    attribute: str
    """The attribute's id in the API and in conditions."""

    computation: bytes
    """JSON, see `domain.segments.computed_attribute`."""


class ComputedAttributeArchived(
    DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False
):
    """A computed attribute was archived: profiles have no value of it any more."""

    TOPIC: ClassVar[str] = "computed_attribute.archived.v1"

    attribute: str


class SystemEventOccurred(MessageEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event that concerns no single profile."""

    TOPIC: ClassVar[str] = "system.occurred.v1"
