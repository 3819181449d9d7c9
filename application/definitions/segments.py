"""Deciding what segments there are, and who is on the lists that are kept by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.definitions import manual_lists
from application.definitions.computed_attribute_store import ComputedAttributeStore
from application.definitions.manual_lists import ManualListChange, ManualListResult
from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    free_id,
    idempotency_key_conflict,
)
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from application.ledger.tables import definitions
from domain.conditions import ReferencedValue
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.events.events import SegmentArchived, SegmentDefined
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDefined, RuleStatusChanged
from domain.rules.rule import Rule
from domain.segments.segment import Actor, Segment, SegmentVersion

MAX_SEGMENTS = 1_000
"""Segments of a workspace that are there at the same time."""

MAX_LIST_CHANGES = 1_000
"""People that are put on a list or taken off in one decision."""

_PAGE_SIZE = 1_000
"""Decisions about one segment that are held in memory at the same time."""

SegmentEvent = SegmentDefined | SegmentArchived


class SegmentResult(NamedTuple):
    """What a decision about a segment comes to."""

    segment: Segment
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class SegmentService:
    """Decides about segments, one decision at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, definition: SegmentVersion, context: CommandContext
    ) -> SegmentResult:
        """Make a new segment; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = _SegmentStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            if id_ is None:
                id_ = free_id("segment", definition.name, store.segments)
            elif id_ in store.segments:
                raise Conflict(
                    f"there is or was a segment {id_!r}; choose another id, or change that one",
                    segment=id_,
                )
            return self._define(store, id_, definition, context)

    def define(
        self,
        workspace: int,
        id_: str,
        definition: SegmentVersion,
        context: CommandContext,
        *,
        version: int | None = None,
    ) -> SegmentResult:
        """Make a segment what is wanted, whether or not it is there.

        ``version`` is that of the segment that was looked at before, 0 of one that is new.  Raises
        Conflict if somebody has decided since, or if a list kept by hand would become a condition or the
        other way round, and InvalidRequest for what cannot be.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = _SegmentStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            store.stream(id_).check_version(version)
            return self._define(store, id_, definition, context)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> SegmentResult:
        """Have nobody in a segment from now on.

        Raises NotFound if it is not there, Conflict if others ask about it, or somebody decided since.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = _SegmentStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, None)
            if earlier is not None:
                return earlier
            segment = store.segment(id_)
            event = segment.archive(store.dependents(id_), self._actor(context))
            store.stream(id_).check_version(version)
            return store.append(segment, event, context.idempotency_key)

    def change_list(
        self, workspace: int, id_: str, changes: Sequence[ManualListChange], context: CommandContext
    ) -> ManualListResult:
        """Put people on a list that is kept by hand, or take them off, each for themselves.

        Raises NotFound if the segment is not there, Conflict if it is a condition.
        """
        if len(changes) > MAX_LIST_CHANGES:
            raise InvalidRequest(
                f"at most {MAX_LIST_CHANGES:,} people at once; send the others in another request",
                limit=MAX_LIST_CHANGES,
                given=len(changes),
            )

        def check(connection: Connection[Any]) -> None:
            _require_manual_list(_SegmentStore(connection, workspace, self._ledger).segment(id_))

        by = self._actor(context)
        return manual_lists.apply_changes(
            self._ledger, workspace, id_, changes, by, context.idempotency_key, check
        )

    def segment(self, workspace: int, id_: str) -> Segment:
        """Return a segment as its own stream tells it; one that never was has version 0."""
        segment, after = Segment(id_), 0
        while page := self.history(workspace, id_, after=after, limit=_PAGE_SIZE):
            for it in page:
                segment = segment.apply(segment_event(it))
            after = page[-1].position
        return segment

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Return what was decided about a segment after a position, in order."""
        stream = self._ledger.segment_stream(workspace, id_)
        return self._ledger.stream_events(
            workspace, [stream], after=after, until=LATEST, limit=limit
        )

    def _define(
        self, store: _SegmentStore, id_: str, definition: SegmentVersion, context: CommandContext
    ) -> SegmentResult:
        segment = store.segment(id_)
        values = store.values if definition.condition else {}
        event = segment.define(definition, store.segment, self._actor(context), values)
        if event is None:
            return SegmentResult(segment, changed=False, position=store.positions[id_])
        if not segment.exists and store.active_count >= MAX_SEGMENTS:
            raise Conflict(
                f"a workspace has at most {MAX_SEGMENTS:,} segments; archive some first",
                limit=MAX_SEGMENTS,
            )
        return store.append(segment, event, context.idempotency_key)

    def _actor(self, context: CommandContext) -> Actor:
        return Actor(context.actor, self._now(), context.reason)


class _SegmentStore:
    """All segments of a workspace, in the transaction that decides about one of them."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._events_by_id: dict[UUID, RecordedEvent] = {}
        self.segments: dict[str, Segment] = {}
        self.positions: dict[str, int] = {}
        """Of the last decision about each."""
        for it in definitions.load_segment_events(connection, workspace):
            event = segment_event(it)
            self._events_by_id[event.id] = it
            self.segments[event.segment] = self.segment(event.segment).apply(event)
            self.positions[event.segment] = it.position

    @property
    def active_count(self) -> int:
        """How many segments are there."""
        return sum(it.exists for it in self.segments.values())

    def segment(self, id_: str) -> Segment:
        """Return a segment; one that never was has version 0."""
        return self.segments.get(id_) or Segment(id_)

    @property
    def values(self) -> Mapping[str, ReferencedValue]:
        """What the names of computed attributes stand for."""
        return ComputedAttributeStore(self._connection, self._workspace, self._ledger).values

    def stream(self, id_: str) -> DefinitionStream:
        """Return a segment as what is decided about."""
        stream = self._ledger.segment_stream(self._workspace, id_)
        return DefinitionStream("segment", id_, stream, self.segment(id_).version)

    def dependents(self, id_: str) -> Mapping[str, str]:
        """Return the names of the segments and rules that ask who is in this one, by their ids."""
        rules = load_rules(self._connection, self._workspace).values()
        candidates: list[Segment | Rule] = [*self.segments.values(), *rules]
        return {
            it.id: it.definition.name
            for it in candidates
            if it.exists and it.definition is not None and id_ in it.referenced_segments
        }

    def replayed(
        self, context: CommandContext, id_: str | None, definition: SegmentVersion | None
    ) -> SegmentResult | None:
        """Return what came of the same decision when it was first sent; None if it was not.

        Raises Conflict if its key was that of another decision.
        """
        recorded = (
            self._events_by_id.get(event_id_for_key(context.idempotency_key))
            if context.idempotency_key is not None
            else None
        )
        if recorded is None:
            return None
        event = segment_event(recorded)
        if id_ not in {None, event.segment} or _definition_of(event) != definition:
            raise idempotency_key_conflict("segment", event.segment, recorded.position)
        return SegmentResult(
            self.segments[event.segment], changed=False, position=recorded.position
        )

    def append(
        self, segment: Segment, event: SegmentEvent, idempotency_key: str | None
    ) -> SegmentResult:
        """Append a decision as the next in the segment's stream."""
        subject = self.stream(segment.id)
        position = subject.append(self._connection, self._workspace, event, idempotency_key)
        return SegmentResult(segment.apply(event), changed=True, position=position)


def segments_reading_attribute(
    connection: Connection[Any], workspace: int, ledger: Ledger, attribute: str
) -> set[str]:
    """Return the ids of the segments that ask about a computed attribute by name."""
    active = (
        it for it in _SegmentStore(connection, workspace, ledger).segments.values() if it.exists
    )
    return {it.id for it in active if attribute in it.referenced_attributes}


def load_rules(connection: Connection[Any], workspace: int) -> Mapping[str, Rule]:
    """Return the workspace's rules, by their ids."""
    rules: dict[str, Rule] = {}
    for it in definitions.load_rule_events(connection, workspace):
        assert isinstance(it.event, RuleDefined | RuleStatusChanged)
        rules[it.event.rule] = rules.get(it.event.rule, Rule(it.event.rule)).apply(it.event)
    return rules


def load_segments(connection: Connection[Any], workspace: int) -> Mapping[str, Segment]:
    """Return the workspace's segments, by their ids."""
    segments: dict[str, Segment] = {}
    for it in definitions.load_segment_events(connection, workspace):
        event = segment_event(it)
        segments[event.segment] = segments.get(event.segment, Segment(event.segment)).apply(event)
    return segments


def segment_event(recorded: RecordedEvent) -> SegmentEvent:
    """Return what was decided about a segment: such events are never erased."""
    event = recorded.event
    assert isinstance(event, SegmentDefined | SegmentArchived)
    return event


def _definition_of(event: SegmentEvent) -> SegmentVersion | None:
    if isinstance(event, SegmentArchived):
        return None
    return SegmentVersion(event.name, event.description, event.condition)


def _require_manual_list(segment: Segment) -> None:
    if not segment.exists:
        raise NotFound(f"there is no segment {segment.id!r}", segment=segment.id)
    if not segment.is_manual:
        raise Conflict(
            f"who is in {segment.id!r} is up to its condition; only lists kept by hand take people",
            segment=segment.id,
        )
