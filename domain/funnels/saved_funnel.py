"""A funnel that is kept under a name, and what was decided about it."""

from __future__ import annotations

from typing import NamedTuple, Self

from domain.core.actor import Actor
from domain.core.errors import NotFound
from domain.core.naming import check_id, check_texts, decode_json
from domain.events.events import NIL, Event, FunnelArchived, FunnelDefined
from domain.funnels import funnel as funnels
from domain.funnels.funnel import Funnel


class SavedFunnelVersion(NamedTuple):
    """What somebody wants a saved funnel to be."""

    name: str
    description: str
    document: bytes
    """The funnel as JSON."""

    @property
    def funnel(self) -> Funnel:
        """The funnel.  Raises InvalidRequest for what is none."""
        return funnels.parse_funnel(decode_json("funnel", self.document))


class SavedFunnel(NamedTuple):
    """What was decided about one saved funnel so far."""

    id: str
    definition: SavedFunnelVersion | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def apply(self, event: Event) -> Self:
        """Return the funnel as it is after a decision."""
        match event:
            case FunnelDefined():
                said = SavedFunnelVersion(event.name, event.description, event.document)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case FunnelArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def current(self) -> SavedFunnelVersion:
        """What it is.  Raises NotFound if it is not there."""
        if self.definition is None or self.archived:
            raise NotFound(f"there is no funnel {self.id!r}", funnel=self.id)
        return self.definition

    def define(self, definition: SavedFunnelVersion, actor: Actor) -> FunnelDefined | None:
        """Return the decision that makes it so; None if it is so already.  Raises InvalidRequest."""
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
        """Return the decision that it is gone.  Raises NotFound if it is not there."""
        assert self.current
        return FunnelArchived(
            id=NIL, funnel=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )
