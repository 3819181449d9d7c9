"""Maps domain events to stored state: MessagePack of the event's own fields, and back."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from msgspec.structs import force_setattr

from domain.events.events import NIL, Event
from domain.events.registry import EVENT_CLASSES

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decoders = {event.TOPIC: msgspec.msgpack.Decoder(event).decode for event in EVENT_CLASSES}


def encode_state(event: Event) -> bytes:
    """Returns the stored state of an event that has no stream and version yet."""
    return _encode(event)


def decode_event(stream: UUID, version: int, topic: str, state: bytes) -> Event:
    """Returns the event of a stored state.  Raises KeyError for an unknown topic."""
    event = _decoders[topic](state)
    # Sets fields of a frozen struct before it is shared: 4 times cheaper than a copy.
    force_setattr(event, "originator_id", stream)
    force_setattr(event, "originator_version", version)
    return event


class EventMapper(Mapper[UUID]):
    """The library's mapper for our events, for its event stores and repositories."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Returns the stored form of an event that has its stream and version."""
        event = cast("Event", domain_event)
        bare = msgspec.structs.replace(event, originator_id=NIL, originator_version=0)
        return StoredEvent(
            originator_id=event.originator_id,
            originator_version=event.originator_version,
            topic=event.TOPIC,
            state=encode_state(bare),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Returns the event of its stored form."""
        stream = cast("UUID", stored_event.originator_id)
        return decode_event(
            stream, stored_event.originator_version, stored_event.topic, stored_event.state
        )
