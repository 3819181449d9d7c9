"""Saved funnels: their definition and its versions, as an aggregate of the ledger."""

from __future__ import annotations

from typing import NamedTuple, Self

from domain.core.actor import Actor
from domain.core.errors import NotFound
from domain.core.naming import check_id, check_texts, decode_json
from domain.events.events import NIL, Event, FunnelArchived, FunnelDefined
from domain.funnels import funnel as funnels
from domain.funnels.funnel import Funnel


class SavedFunnelVersion(NamedTuple):
    """One version of a saved funnel: name, description and definition."""

    name: str
    description: str
    document: bytes
    """The funnel as JSON."""

    @property
    def funnel(self) -> Funnel:
        """The parsed funnel.  Raises InvalidRequest if the document is not valid."""
        return funnels.parse_funnel(decode_json("funnel", self.document))


class SavedFunnel(NamedTuple):
    """State of a saved funnel after the definition events so far."""

    id: str
    definition: SavedFunnelVersion | None = None
    """None: never defined."""

    archived: bool = False
    version: int = 0
    """The number of definition events applied."""

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; events of other kinds change nothing."""
        match event:
            case FunnelDefined():
                definition = SavedFunnelVersion(event.name, event.description, event.document)
                return self._replace(
                    definition=definition, archived=False, version=self.version + 1
                )
            case FunnelArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def current(self) -> SavedFunnelVersion:
        """The current version.  Raises NotFound if it is archived or was never defined."""
        if self.definition is None or self.archived:
            raise NotFound(f"there is no funnel {self.id!r}", funnel=self.id)
        return self.definition

    def define(self, definition: SavedFunnelVersion, actor: Actor) -> FunnelDefined | None:
        """Returns the event that defines it; None if the definition is the current one already.

        Raises InvalidRequest.
        """
        check_id("funnel", self.id, "checkout")
        check_texts("funnel", *definition)
        assert definition.funnel
        if not self.archived and definition == self.definition:
            return None
        return FunnelDefined(
            id=NIL,
            funnel=self.id,
            name=definition.name,
            description=definition.description,
            document=definition.document,
            occurred_at=actor.at,
            actor=actor.name,
            reason=actor.reason,
        )

    def archive(self, actor: Actor) -> FunnelArchived:
        """Returns the event that archives it.  Raises NotFound if there is no current version."""
        assert self.current
        return FunnelArchived(
            id=NIL, funnel=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )
