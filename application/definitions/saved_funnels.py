"""Deciding what funnels are kept.  No funnel asks about another, so each has only its own stream to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    free_id,
    idempotency_key_conflict,
)
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from domain.core.errors import Conflict
from domain.events.events import FunnelArchived, FunnelDefined
from domain.events.recorded import RecordedEvent
from domain.funnels.saved_funnel import SavedFunnel, SavedFunnelVersion
from domain.segments.segment import Actor

_PAGE_SIZE = 1_000
"""Decisions about one funnel that are held in memory at the same time."""

SavedFunnelEvent = FunnelDefined | FunnelArchived


class SavedFunnelResult(NamedTuple):
    """What a decision about a funnel comes to."""

    funnel: SavedFunnel
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class SavedFunnelService:
    """Decides about saved funnels, one decision at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self,
        workspace: int,
        id_: str | None,
        definition: SavedFunnelVersion,
        context: CommandContext,
    ) -> SavedFunnelResult:
        """Keep a new funnel; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        taken = _UsedIds(self, workspace, context)
        if id_ is None:
            id_ = free_id("funnel", definition.name, taken)
        elif id_ in taken:
            raise Conflict(
                f"there is or was a funnel {id_!r}; choose another id, or change that one",
                funnel=id_,
            )
        return self.define(workspace, id_, definition, context, version=0)

    def define(
        self,
        workspace: int,
        id_: str,
        definition: SavedFunnelVersion,
        context: CommandContext,
        *,
        version: int | None = None,
    ) -> SavedFunnelResult:
        """Make a funnel what is wanted, whether or not it is there.

        ``version`` is that of the funnel that was looked at before, 0 of one that is new.  Raises Conflict
        if somebody has decided since, InvalidRequest for what cannot be.
        """
        return self._execute(workspace, id_, definition, context, version)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> SavedFunnelResult:
        """Have a funnel be gone.  Raises NotFound if it is not there, Conflict if somebody decided since."""
        return self._execute(workspace, id_, None, context, version)

    def funnel(self, workspace: int, id_: str) -> SavedFunnel:
        """Return a funnel as its own stream tells it; one that never was has version 0."""
        return _fold(id_, self.history(workspace, id_))

    def history(self, workspace: int, id_: str) -> Sequence[RecordedEvent]:
        """Return all that was decided about a funnel, in order."""
        stream, events = self._ledger.funnel_stream(workspace, id_), list[RecordedEvent]()
        while True:
            after = events[-1].position if events else 0
            page = self._ledger.stream_events(
                workspace, [stream], after=after, until=LATEST, limit=_PAGE_SIZE
            )
            events += page
            if len(page) < _PAGE_SIZE:
                return events

    def _execute(
        self,
        workspace: int,
        id_: str,
        definition: SavedFunnelVersion | None,
        context: CommandContext,
        version: int | None,
    ) -> SavedFunnelResult:
        history = self.history(workspace, id_)
        funnel = _fold(id_, history)
        earlier = replayed_event(history, context)
        if earlier is not None:
            if _definition_of(earlier) != definition:
                raise idempotency_key_conflict("funnel", id_, earlier.position)
            return SavedFunnelResult(funnel, changed=False, position=earlier.position)
        stream = DefinitionStream(
            "funnel", id_, self._ledger.funnel_stream(workspace, id_), len(history)
        )
        actor = Actor(context.actor, self._now(), context.reason)
        event = funnel.archive(actor) if definition is None else funnel.define(definition, actor)
        stream.check_version(version)
        if event is None:
            return SavedFunnelResult(funnel, changed=False, position=history[-1].position)
        with self._ledger.definition_transaction(workspace) as connection:
            position = stream.append(connection, workspace, event, context.idempotency_key)
        return SavedFunnelResult(funnel.apply(event), changed=True, position=position)


class _UsedIds:
    """Ids that are used, unless by the very decision that is being sent again."""

    def __init__(
        self, funnels: SavedFunnelService, workspace: int, context: CommandContext
    ) -> None:
        self._funnels, self._workspace, self._context = funnels, workspace, context

    def __contains__(self, id_: object) -> bool:
        before = self._funnels.history(self._workspace, str(id_))
        return bool(before) and replayed_event(before, self._context) is None


def replayed_event(
    events: Sequence[RecordedEvent], context: CommandContext
) -> RecordedEvent | None:
    """Return what came of the same decision when it was first sent; None if it was not."""
    if context.idempotency_key is None:
        return None
    id_ = event_id_for_key(context.idempotency_key)
    return next((it for it in events if it.event is not None and it.event.id == id_), None)


def _fold(id_: str, events: Sequence[RecordedEvent]) -> SavedFunnel:
    funnel = SavedFunnel(id_)
    for it in events:
        funnel = funnel.apply(saved_funnel_event(it))
    return funnel


def saved_funnel_event(recorded: RecordedEvent) -> SavedFunnelEvent:
    """Return what was decided about a funnel: such events are never erased."""
    event = recorded.event
    assert isinstance(event, SavedFunnelEvent)
    return event


def _definition_of(recorded: RecordedEvent) -> SavedFunnelVersion | None:
    event = saved_funnel_event(recorded)
    if isinstance(event, FunnelArchived):
        return None
    return SavedFunnelVersion(event.name, event.description, event.document)
