"""Definitions that the ledger records: where their events are, and what refers to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import chain
from typing import Any, Generic
from uuid import UUID

from psycopg import Connection
from psycopg.errors import UniqueViolation

from application.definitions.service import DefinitionService, DefinitionTransaction
from application.definitions.store import D, DefinitionStore, StaleStream, definition_event
from application.ledger.append.append import append_versioned
from application.ledger.append.prepared import event_row
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from application.ledger.tables import definitions
from domain.conditions import ReferencedValue
from domain.definitions.definition import Definition
from domain.events.events import DefinitionEvent
from domain.events.recorded import RecordedEvent
from domain.events.registry import EVENT_CLASSES
from domain.funnels.saved_funnel import SavedFunnel
from domain.rules.rule import Rule
from domain.segments.computed_attribute import ComputedAttribute, resolve_all
from domain.segments.segment import Segment

PAGE_SIZE = 1_000
"""Events of one stream that are read in one query."""


@dataclass(frozen=True)
class LedgerKind(Generic[D]):
    """Where the ledger has the events of one kind of definitions."""

    definition: type[D]
    stream: Callable[[Ledger, int, str], UUID]
    """Returns the stream of a definition, of a workspace and an id; several may share one."""

    used_by: Callable[[LedgerDefinitions, str], Iterable[str]] = lambda *_: ()
    """Returns the ids of the definitions that refer to a definition."""


SEGMENTS = LedgerKind(
    Segment, Ledger.segment_stream, lambda others, id_: others.referring_to_segment(id_)
)
RULES = LedgerKind(Rule, Ledger.rule_stream)
SAVED_FUNNELS = LedgerKind(SavedFunnel, Ledger.funnel_stream)
COMPUTED_ATTRIBUTES = LedgerKind(
    ComputedAttribute,
    lambda ledger, workspace, _: ledger.attributes_stream(workspace),
    lambda others, id_: others.referring_to_attribute(id_),
)


class LedgerLog(Generic[D]):
    """The events of one kind in the ledger, in the transaction of a command."""

    def __init__(
        self, kind: LedgerKind[D], connection: Connection[Any], workspace: int, ledger: Ledger
    ) -> None:
        self._kind, self._connection = kind, connection
        self._workspace, self._ledger = workspace, ledger

    def stream(self, id_: str) -> UUID:
        """Returns the stream of a definition."""
        return self._kind.stream(self._ledger, self._workspace, id_)

    def events(self) -> Iterable[RecordedEvent]:
        """Returns the events of all definitions of the kind."""
        topics = topics_of(self._kind.definition)
        return definitions.load_definition_events(self._connection, self._workspace, topics)

    def append(self, stream: UUID, version: int, event: DefinitionEvent) -> int:
        """Appends an event; returns its position.  Raises StaleStream."""
        row = event_row(stream.bytes, event)
        try:
            [position] = append_versioned(self._connection, self._workspace, [(row, version)])
        except UniqueViolation:
            raise StaleStream from None
        return position


def topics_of(kind: type[Definition]) -> tuple[str, ...]:
    """Returns the topics of the events about one kind of definitions."""
    return tuple(
        event.TOPIC
        for event in EVENT_CLASSES
        if issubclass(event, DefinitionEvent) and kind.KEY in event.__struct_fields__
    )


class LedgerDefinitions:
    """The definitions of a workspace, each kind loaded when a command first needs it."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._stores: dict[type, DefinitionStore[Any]] = {}

    def store(self, kind: LedgerKind[D]) -> DefinitionStore[D]:
        """Returns the definitions of one kind."""
        if kind.definition not in self._stores:
            log = LedgerLog(kind, self._connection, self._workspace, self._ledger)
            self._stores[kind.definition] = DefinitionStore(kind.definition, log)
        return self._stores[kind.definition]

    def segment(self, id_: str) -> Segment:
        """Returns a segment; one that was never defined does not exist."""
        return self.store(SEGMENTS).get(id_)

    @cached_property
    def computed_attributes(self) -> Mapping[str, ReferencedValue]:
        """The values of the computed attributes in effect, by id, references resolved."""
        return resolve_all({a.id: a.value for a in self.store(COMPUTED_ATTRIBUTES).active()})

    def referring_to_segment(self, id_: str) -> Iterator[str]:
        """Yields the ids of segments and rules that refer to a segment."""
        return (d.id for d in self._active(SEGMENTS, RULES) if id_ in d.referenced_segments)

    def referring_to_attribute(self, id_: str) -> Iterator[str]:
        """Yields the ids of computed attributes and segments that refer to an attribute."""
        users = self._active(COMPUTED_ATTRIBUTES, SEGMENTS)
        return (d.id for d in users if id_ in d.referenced_attributes)

    def _active(self, *kinds: LedgerKind[Any]) -> Iterator[Definition]:
        return chain.from_iterable(self.store(kind).active() for kind in kinds)


class LedgerDefinitionService(DefinitionService[D]):
    """Records commands about one kind of definitions in the ledger."""

    ledger_kind: LedgerKind[D]

    @property
    def kind(self) -> type[D]:
        """The aggregate of this kind."""
        return self.ledger_kind.definition

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(now)
        self._ledger = ledger

    def find(self, workspace: int, id_: str) -> D:
        """Returns a definition, replayed from its stream; one never defined has version 0."""
        state, after = self.kind(id_), 0
        while page := self.history(workspace, id_, after=after, limit=PAGE_SIZE):
            for recorded in page:
                state = state.apply(definition_event(recorded))
            after = page[-1].position
        return state

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of a definition after a position, in order."""
        stream = self.ledger_kind.stream(self._ledger, workspace, id_)
        return self._ledger.stream_events(
            workspace, [stream], after=after, until=LATEST, limit=limit
        )

    @contextmanager
    def _transaction(self, workspace: int) -> Iterator[DefinitionTransaction[D]]:
        with self._ledger.definition_transaction(workspace) as connection:
            definitions = LedgerDefinitions(connection, workspace, self._ledger)
            store = definitions.store(self.ledger_kind)
            used_by = partial(self.ledger_kind.used_by, definitions)
            yield DefinitionTransaction(connection, store, definitions, used_by)
