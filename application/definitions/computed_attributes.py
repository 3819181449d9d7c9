"""Deciding what computed attributes there are, one decision at a time in a workspace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import Connection

from application.definitions.computed_attribute_store import (
    ComputedAttributeEvent,
    ComputedAttributeStore,
    computed_attribute_event,
)
from application.definitions.segments import segments_reading_attribute
from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    free_id,
    idempotency_key_conflict,
)
from application.ledger.ledger import Ledger
from domain.core.errors import Conflict
from domain.events.events import ComputedAttributeArchived
from domain.segments.computed_attribute import KIND, ComputedAttribute, ComputedAttributeVersion
from domain.segments.segment import Actor

MAX_COMPUTED_ATTRIBUTES = 200
"""Computed attributes of a workspace that are there at the same time."""


class ComputedAttributeResult(NamedTuple):
    """What a decision about a computed attribute comes to."""

    attribute: ComputedAttribute
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class ComputedAttributeService:
    """Decides about computed attributes."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self,
        workspace: int,
        id_: str | None,
        definition: ComputedAttributeVersion,
        context: CommandContext,
    ) -> ComputedAttributeResult:
        """Make a new one; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            command = self._begin(connection, workspace, context)
            if (earlier := command.replayed(id_, definition)) is not None:
                return earlier
            if id_ is None:
                id_ = free_id("attribute", definition.name, command.store.attributes)
            elif id_ in command.store.attributes:
                raise Conflict(
                    f"there is or was a {KIND} {id_!r}; choose another id, or change that one",
                    attribute=id_,
                )
            return command.define(id_, definition)

    def define(
        self,
        workspace: int,
        id_: str,
        definition: ComputedAttributeVersion,
        context: CommandContext,
        *,
        version: int | None = None,
    ) -> ComputedAttributeResult:
        """Make one what is wanted, whether or not it is there.

        ``version`` is that of the one that was looked at before, 0 of one that is new.  Raises Conflict if
        somebody has decided since, or if it would become of another kind, and InvalidRequest for what
        cannot be.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            command = self._begin(connection, workspace, context)
            if (earlier := command.replayed(id_, definition)) is not None:
                return earlier
            command.check_version(id_, version)
            return command.define(id_, definition)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> ComputedAttributeResult:
        """Have nobody have a value from now on.

        Raises NotFound if it is not there, Conflict if others ask about it, or somebody decided since.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            command = self._begin(connection, workspace, context)
            if (earlier := command.replayed(id_, None)) is not None:
                return earlier
            attribute = command.store.attribute(id_)
            dependents = command.store.dependents(id_) | segments_reading_attribute(
                connection, workspace, self._ledger, id_
            )
            event = attribute.archive(dependents, command.actor)
            command.check_version(id_, version)
            return command.append(attribute, event)

    def _begin(
        self, connection: Connection[Any], workspace: int, context: CommandContext
    ) -> _Command:
        store = ComputedAttributeStore(connection, workspace, self._ledger)
        actor = Actor(context.actor, self._now(), context.reason)
        return _Command(connection, workspace, store, actor, context.idempotency_key)


class _Command(NamedTuple):
    """One decision, in its transaction."""

    connection: Connection[Any]
    workspace: int
    store: ComputedAttributeStore
    actor: Actor
    idempotency_key: str | None

    def check_version(self, id_: str, version: int | None) -> None:
        known = self.store.attribute(id_).version
        DefinitionStream("attribute", id_, self.store.stream, known).check_version(version)

    def replayed(
        self, id_: str | None, definition: ComputedAttributeVersion | None
    ) -> ComputedAttributeResult | None:
        """Return what came of the same decision when it was first sent.  Raises Conflict."""
        recorded = (
            None
            if self.idempotency_key is None
            else self.store.events_by_id.get(event_id_for_key(self.idempotency_key))
        )
        if recorded is None:
            return None
        event = computed_attribute_event(recorded)
        if id_ not in {None, event.attribute} or _definition_of(event) != definition:
            raise idempotency_key_conflict("attribute", event.attribute, recorded.position)
        attribute = self.store.attributes[event.attribute]
        return ComputedAttributeResult(attribute, changed=False, position=recorded.position)

    def define(self, id_: str, definition: ComputedAttributeVersion) -> ComputedAttributeResult:
        attribute = self.store.attribute(id_)
        event = attribute.define(definition, self.store.attributes.values(), self.actor)
        if event is None:
            return ComputedAttributeResult(
                attribute, changed=False, position=self.store.positions[id_]
            )
        if not attribute.exists and self.store.active_count >= MAX_COMPUTED_ATTRIBUTES:
            raise Conflict(
                f"a workspace has at most {MAX_COMPUTED_ATTRIBUTES} computed attributes; archive some first",
                limit=MAX_COMPUTED_ATTRIBUTES,
            )
        return self.append(attribute, event)

    def append(
        self, attribute: ComputedAttribute, event: ComputedAttributeEvent
    ) -> ComputedAttributeResult:
        """Append a decision as the next in the stream of all."""
        stream = DefinitionStream("attribute", attribute.id, self.store.stream, self.store.version)
        position = stream.append(self.connection, self.workspace, event, self.idempotency_key)
        return ComputedAttributeResult(attribute.apply(event), changed=True, position=position)


def _definition_of(event: ComputedAttributeEvent) -> ComputedAttributeVersion | None:
    if isinstance(event, ComputedAttributeArchived):
        return None
    return ComputedAttributeVersion(event.name, event.description, event.computation)
