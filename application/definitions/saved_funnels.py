"""Commands about saved funnels.

Funnels do not refer to each other, so a command only reads the funnel's own stream.
"""

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
from domain.core.actor import Actor
from domain.core.errors import Conflict
from domain.events.events import FunnelArchived, FunnelDefined
from domain.events.recorded import RecordedEvent
from domain.funnels.saved_funnel import SavedFunnel, SavedFunnelVersion

_PAGE_SIZE = 1_000
"""Events of one funnel that are read in one query."""

SavedFunnelEvent = FunnelDefined | FunnelArchived


class SavedFunnelResult(NamedTuple):
    """Result of a command about a funnel."""

    funnel: SavedFunnel
    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int
    """Position of the event that led to this state."""


class SavedFunnelService:
    """Records commands about saved funnels, one at a time in a workspace."""

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
        """Creates a funnel; without ``id_`` the id is derived from its name.

        Raises Conflict if the id was used before, InvalidRequest for an invalid definition.
        """
        used_ids = _UsedIds(self, workspace, context)
        if id_ is None:
            id_ = free_id("funnel", definition.name, used_ids)
        elif id_ in used_ids:
            raise Conflict(
                f"funnel id {id_!r} is or was in use; choose another id or update that funnel",
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
        """Creates or replaces a funnel.

        ``version`` is the expected version, 0 for a new funnel; None: any.  Raises Conflict for another
        version, InvalidRequest for an invalid definition.
        """
        return self._execute(workspace, id_, definition, context, version)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> SavedFunnelResult:
        """Archives a funnel.

        Raises NotFound if it does not exist, Conflict for another version than the expected one.
        """
        return self._execute(workspace, id_, None, context, version)

    def funnel(self, workspace: int, id_: str) -> SavedFunnel:
        """Returns a funnel, replayed from its stream; one that was never defined has version 0."""
        return _fold(id_, self.history(workspace, id_))

    def history(self, workspace: int, id_: str) -> Sequence[RecordedEvent]:
        """Returns all events of a funnel, in order."""
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
    """Funnel ids that are in use, unless by the same command when it was sent before."""

    def __init__(
        self, funnels: SavedFunnelService, workspace: int, context: CommandContext
    ) -> None:
        self._funnels, self._workspace, self._context = funnels, workspace, context

    def __contains__(self, id_: object) -> bool:
        history = self._funnels.history(self._workspace, str(id_))
        return bool(history) and replayed_event(history, self._context) is None


def replayed_event(
    events: Sequence[RecordedEvent], context: CommandContext
) -> RecordedEvent | None:
    """Returns the event of a command that was sent before with this key; None if it is new."""
    if context.idempotency_key is None:
        return None
    id_ = event_id_for_key(context.idempotency_key)
    return next((r for r in events if r.event is not None and r.event.id == id_), None)


def _fold(id_: str, events: Sequence[RecordedEvent]) -> SavedFunnel:
    funnel = SavedFunnel(id_)
    for recorded in events:
        funnel = funnel.apply(saved_funnel_event(recorded))
    return funnel


def saved_funnel_event(recorded: RecordedEvent) -> SavedFunnelEvent:
    """Returns the event of a funnel; such events are never erased."""
    event = recorded.event
    assert isinstance(event, SavedFunnelEvent)
    return event


def _definition_of(recorded: RecordedEvent) -> SavedFunnelVersion | None:
    event = saved_funnel_event(recorded)
    if isinstance(event, FunnelArchived):
        return None
    return SavedFunnelVersion(event.name, event.description, event.document)
