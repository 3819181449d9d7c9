"""A definition as an aggregate: versions, archival, and which changes are allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from domain.conditions import ReferencedValue
from domain.core.actor import Actor
from domain.core.errors import Conflict, NotFound
from domain.core.naming import check_id, check_texts
from domain.events.events import NIL, DefinedEvent, DefinitionEvent, Event


class DefinitionVersion(NamedTuple):
    """One version of a definition."""

    name: str
    description: str = ""
    document: bytes = b""
    """What is defined, as JSON; empty for a manual list."""


@dataclass(frozen=True)
class Definition:
    """The current state of one definition, folded from its events.

    A subclass names its kind and its events, and adds what is particular to the kind.
    """

    KIND: ClassVar[str]
    """How messages name it."""

    KEY: ClassVar[str]
    """Field that holds its id, in its events and in the details of errors."""

    EXAMPLE_ID: ClassVar[str]
    DEFINED: ClassVar[type[DefinedEvent]]
    DOCUMENT: ClassVar[str]
    """Field of `DEFINED` that holds the document."""

    ARCHIVED: ClassVar[type[DefinitionEvent]]

    id: str
    definition: DefinitionVersion | None = None
    """None if it was never defined."""

    archived: bool = False
    version: int = 0
    """Number of events about the definition so far."""

    @classmethod
    def id_in(cls, event: DefinitionEvent) -> str:
        """Returns the id of the definition that an event is about."""
        return str(getattr(event, cls.KEY))

    @classmethod
    def content_of(cls, event: DefinitionEvent) -> object:
        """Returns what an event changed: the new version, or None if it archived the definition.

        A command that is sent again must have the same content.
        """
        if not isinstance(event, DefinedEvent):
            return None
        return DefinitionVersion(event.name, event.description, getattr(event, cls.DOCUMENT))

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; other events change nothing."""
        if not isinstance(event, (self.DEFINED, self.ARCHIVED)):
            return self
        content, version = self.content_of(event), self.version + 1
        if isinstance(content, DefinitionVersion):
            return replace(self, definition=content, archived=False, version=version)
        return replace(self, archived=True, version=version)

    @property
    def exists(self) -> bool:
        """Whether it is defined and not archived."""
        return self.definition is not None and not self.archived

    def require_exists(self) -> None:
        """Raises NotFound if it is archived or was never defined."""
        if not self.exists:
            raise NotFound(f"there is no {self.KIND} {self.id!r}", **{self.KEY: self.id})

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that it refers to."""
        return frozenset()

    @property
    def referenced_attributes(self) -> frozenset[str]:
        """Ids of the computed attributes that it refers to by name."""
        return frozenset()

    def define(
        self, definition: DefinitionVersion, references: References, actor: Actor
    ) -> DefinedEvent | None:
        """Returns the event that puts a definition into effect; None if it is in effect already.

        Raises InvalidRequest for an invalid definition, Conflict for one that this cannot become.
        """
        self.check(definition, references)
        if self.exists and definition == self.definition:
            return None
        fields: dict[str, Any] = {self.KEY: self.id, self.DOCUMENT: definition.document}
        return self.DEFINED(
            id=NIL,
            name=definition.name,
            description=definition.description,
            occurred_at=actor.at,
            actor=actor.name,
            reason=actor.reason,
            **fields,
        )

    def check(self, definition: DefinitionVersion, _references: References) -> None:
        """Raises InvalidRequest for an invalid definition, Conflict for one this cannot become.

        The references are for kinds that refer to others.
        """
        check_id(self.KIND, self.id, self.EXAMPLE_ID)
        check_texts(self.KIND, *definition)

    def archive(self, used_by: Iterable[str], actor: Actor) -> DefinitionEvent:
        """Returns the event that archives it.

        ``used_by`` are the ids of the definitions that refer to it.  Raises NotFound if it does not exist,
        Conflict if anything refers to it.
        """
        self.require_exists()
        if dependents := sorted(used_by):
            raise Conflict(
                f"{self.KIND} {self.id!r} is used by: {', '.join(dependents)}; change those first",
                **{self.KEY: self.id},
                used_by=dependents,
            )
        return self.status_event(self.ARCHIVED, actor)

    def status_event(self, event_class: type[DefinitionEvent], actor: Actor) -> DefinitionEvent:
        """Returns an event that says nothing but that it happened to this definition."""
        fields: dict[str, Any] = {self.KEY: self.id}
        return event_class(
            id=NIL, occurred_at=actor.at, actor=actor.name, reason=actor.reason, **fields
        )


class References(Protocol):
    """The other definitions of the workspace, to which a definition may refer."""

    def segment(self, id_: str) -> Definition:
        """Returns a segment; one that was never defined does not exist."""
        ...

    @property
    def computed_attributes(self) -> Mapping[str, ReferencedValue]:
        """The values of the computed attributes in effect, by id."""
        ...
