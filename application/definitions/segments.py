"""Commands about segments: create, define and archive, and changes to manual lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from application.definitions import manual_lists
from application.definitions.manual_lists import ManualListChange, ManualListResult
from application.definitions.segment_store import SegmentResult, SegmentStore, segment_event
from application.definitions.store import CommandContext, free_id
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from domain.core.actor import Actor
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.events.recorded import RecordedEvent
from domain.segments.segment import Segment, SegmentVersion

MAX_SEGMENTS = 1_000
"""Maximum number of segments of a workspace, archived ones not counted."""

MAX_LIST_CHANGES = 1_000
"""Maximum number of profiles that one command adds to a list or removes from it."""

_PAGE_SIZE = 1_000
"""Events of one segment that are read in one query."""


class SegmentService:
    """Records commands about segments, one at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, definition: SegmentVersion, context: CommandContext
    ) -> SegmentResult:
        """Creates a segment; without ``id_`` the id is derived from its name.

        Raises Conflict if the id was used before, InvalidRequest for an invalid definition.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = SegmentStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            if id_ is None:
                id_ = free_id("segment", definition.name, store.segments)
            elif id_ in store.segments:
                raise Conflict(
                    f"segment id {id_!r} is or was in use; choose another id or update that segment",
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
        """Creates or replaces a segment.

        ``version`` is the expected version, 0 for a new segment; None: any.  Raises Conflict for another
        version or if a manual list would become a condition or the other way round, and InvalidRequest for
        an invalid definition.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = SegmentStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            store.stream(id_).check_version(version)
            return self._define(store, id_, definition, context)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> SegmentResult:
        """Archives a segment; all profiles leave it.

        Raises NotFound if it does not exist, Conflict if other definitions refer to it or for another
        version than the expected one.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            store = SegmentStore(connection, workspace, self._ledger)
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
        """Adds profiles to a manual list or removes them, each on its own.

        Raises NotFound if the segment does not exist, Conflict if it is defined by a condition.
        """
        if len(changes) > MAX_LIST_CHANGES:
            raise InvalidRequest(
                f"at most {MAX_LIST_CHANGES:,} profiles per request; split the list",
                limit=MAX_LIST_CHANGES,
                given=len(changes),
            )

        def check(connection: Connection[Any]) -> None:
            _require_manual_list(SegmentStore(connection, workspace, self._ledger).segment(id_))

        actor = self._actor(context)
        return manual_lists.apply_changes(
            self._ledger, workspace, id_, changes, actor, context.idempotency_key, check
        )

    def segment(self, workspace: int, id_: str) -> Segment:
        """Returns a segment, replayed from its stream; one that was never defined has version 0."""
        segment, after = Segment(id_), 0
        while page := self.history(workspace, id_, after=after, limit=_PAGE_SIZE):
            for recorded in page:
                segment = segment.apply(segment_event(recorded))
            after = page[-1].position
        return segment

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of a segment after a position, in order."""
        stream = self._ledger.segment_stream(workspace, id_)
        return self._ledger.stream_events(
            workspace, [stream], after=after, until=LATEST, limit=limit
        )

    def _define(
        self, store: SegmentStore, id_: str, definition: SegmentVersion, context: CommandContext
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


def _require_manual_list(segment: Segment) -> None:
    if not segment.exists:
        raise NotFound(f"there is no segment {segment.id!r}", segment=segment.id)
    if not segment.is_manual:
        raise Conflict(
            f"{segment.id!r} is defined by a condition; only manual lists accept members",
            segment=segment.id,
        )
