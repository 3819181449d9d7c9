"""A run of one workspace's events, decoded once for all the read models that take it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from domain.core.identifiers import Identifier
from domain.events import payload
from domain.events.events import Event, MessageEvent
from domain.events.recorded import RecordedEvent


class DecodedMessage(NamedTuple):
    """A recorded message and what its payload says."""

    recorded: RecordedEvent
    event: MessageEvent
    document: payload.ParsedMessage


class Batch:
    """Events that follow one another in a workspace's ledger, never empty."""

    def __init__(
        self,
        workspace: int,
        records: Sequence[RecordedEvent],
        stream_of: Callable[[Identifier], UUID],
        identity_events_for: Callable[[Iterable[UUID]], Mapping[int, Event]],
    ) -> None:
        self.workspace = workspace
        self.records = records
        self.stream_of = stream_of
        self.identity_events_for = identity_events_for
        """Returns, by position, all that the ledger has about who the persons of streams may be."""

        self._decoded: list[DecodedMessage] = []
        self._next = 0
        self._by_stream: dict[UUID, list[DecodedMessage]] | None = None

    @property
    def after(self) -> int:
        """The position before the first event."""
        return self.records[0].position - 1

    @property
    def position(self) -> int:
        """The position of the last event."""
        return self.records[-1].position

    def messages(self) -> Iterator[DecodedMessage]:
        """Give out the messages among the events, in order; erased ones are left out.

        Each is decoded when it is first asked for: while the next is decoded here, the server
        is already busy with the ones that were copied to it.
        """
        yield from self._decoded
        for recorded in self.records[self._next :]:
            event = recorded.event
            if not isinstance(event, MessageEvent):
                self._next += 1
                continue
            message = DecodedMessage(recorded, event, payload.parse(event))
            self._decoded.append(message)
            self._next += 1
            yield message

    def by_stream(self) -> Mapping[UUID, Sequence[DecodedMessage]]:
        """Return the messages of persons by the stream they are in, streams in their order."""
        if self._by_stream is None:
            found: dict[UUID, list[DecodedMessage]] = defaultdict(list)
            for message in self.messages():
                if message.event.subject is not None:
                    found[message.recorded.stream].append(message)
            # By the number: UUIDs compare in Python, a dozen times each.
            self._by_stream = dict(sorted(found.items(), key=lambda it: it[0].int))
        return self._by_stream
