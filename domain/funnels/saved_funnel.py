"""A funnel that is kept under a name, and what was decided about it."""

from __future__ import annotations

from typing import NamedTuple, Self

from domain.core.errors import NotFound
from domain.core.naming import check_id, check_texts, decoded
from domain.events.events import NIL, Event, FunnelArchived, FunnelDefined
from domain.funnels import funnel as funnels
from domain.funnels.funnel import Funnel
from domain.segments.segment import By


class Definition(NamedTuple):
    """What somebody wants a saved funnel to be."""

    name: str
    description: str
    document: bytes
    """The funnel as JSON."""

    @property
    def funnel(self) -> Funnel:
        """The funnel.  Raises InvalidRequest for what is none."""
        return funnels.read(decoded("funnel", self.document))


class SavedFunnel(NamedTuple):
    """What was decided about one saved funnel so far."""

    id: str
    definition: Definition | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def after(self, event: Event) -> Self:
        """Return the funnel as it is after a decision."""
        match event:
            case FunnelDefined():
                said = Definition(event.name, event.description, event.document)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case FunnelArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def current(self) -> Definition:
        """What it is.  Raises NotFound if it is not there."""
        if self.definition is None or self.archived:
            raise NotFound(f"there is no funnel {self.id!r}", funnel=self.id)
        return self.definition

    def define(self, wanted: Definition, by: By) -> FunnelDefined | None:
        """Return the decision that makes it so; None if it is so already.  Raises InvalidRequest."""
        check_id("funnel", self.id, "checkout")
        check_texts("funnel", *wanted)
        assert wanted.funnel
        if not self.archived and wanted == self.definition:
            return None
        return FunnelDefined(
            id=NIL,
            funnel=self.id,
            name=wanted.name,
            description=wanted.description,
            document=wanted.document,
            occurred_at=by.at,
            actor=by.actor,
            reason=by.reason,
        )

    def archive(self, by: By) -> FunnelArchived:
        """Return the decision that it is gone.  Raises NotFound if it is not there."""
        assert self.current
        return FunnelArchived(
            id=NIL, funnel=self.id, occurred_at=by.at, actor=by.actor, reason=by.reason
        )
