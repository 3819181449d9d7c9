"""A batch: consecutive events of one workspace, decoded once for all read models."""

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
    """A recorded message and its parsed payload."""

    recorded: RecordedEvent
    event: MessageEvent
    document: payload.ParsedMessage


class Batch:
    """Consecutive events of a workspace's ledger, at least one."""

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
        """Returns all recorded events about the identity of some streams, by position."""

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
        """Yields the messages among the events, in order; erased ones are left out.

        Each is decoded when it is first needed: meanwhile the database server works on those that were
        copied to it before.
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
        """Returns the messages of profiles by stream, in the order of the streams' ids."""
        if self._by_stream is None:
            messages: dict[UUID, list[DecodedMessage]] = defaultdict(list)
            for message in self.messages():
                if message.event.subject is not None:
                    messages[message.recorded.stream].append(message)
            # By the number: comparing UUIDs runs Python code, a dozen times for each.
            self._by_stream = dict(sorted(messages.items(), key=lambda item: item[0].int))
        return self._by_stream
