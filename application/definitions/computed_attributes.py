"""Commands about computed attributes, one at a time in a workspace."""

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
from application.definitions.segment_store import segments_reading_attribute
from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    free_id,
    idempotency_key_conflict,
)
from application.ledger.ledger import Ledger
from domain.core.actor import Actor
from domain.core.errors import Conflict
from domain.events.events import ComputedAttributeArchived
from domain.segments.computed_attribute import KIND, ComputedAttribute, ComputedAttributeVersion

MAX_COMPUTED_ATTRIBUTES = 200
"""Maximum number of computed attributes of a workspace, archived ones not counted."""


class ComputedAttributeResult(NamedTuple):
    """Result of a command about a computed attribute."""

    attribute: ComputedAttribute
    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int
    """Position of the event that led to this state."""


class ComputedAttributeService:
    """Creates, defines and archives computed attributes."""

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
        """Creates a computed attribute; without ``id_`` the id is derived from its name.

        Raises Conflict if the id was used before, InvalidRequest for an invalid definition.
        """
        with self._ledger.definition_transaction(workspace) as connection:
            command = self._begin(connection, workspace, context)
            if (earlier := command.replayed(id_, definition)) is not None:
                return earlier
            if id_ is None:
                id_ = free_id("attribute", definition.name, command.store.attributes)
            elif id_ in command.store.attributes:
                raise Conflict(
                    f"{KIND} id {id_!r} is or was in use; choose another id or update that {KIND}",
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
        """Creates or replaces a computed attribute.

        ``version`` is the expected version, 0 for a new one; None: any.  Raises Conflict for another version
        or if the kind of its value would change, and InvalidRequest for an invalid definition.
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
        """Archives the attribute; profiles no longer show a value.

        Raises NotFound if it does not exist, Conflict if other definitions refer to it or for another
        version than the expected one.
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
    """One command, in its transaction."""

    connection: Connection[Any]
    workspace: int
    store: ComputedAttributeStore
    actor: Actor
    idempotency_key: str | None

    def check_version(self, id_: str, version: int | None) -> None:
        current = self.store.attribute(id_).version
        DefinitionStream("attribute", id_, self.store.stream, current).check_version(version)

    def replayed(
        self, id_: str | None, definition: ComputedAttributeVersion | None
    ) -> ComputedAttributeResult | None:
        """Returns the result of a command that was sent before with this key; None if it is new.

        Raises Conflict if the key was used for another command.
        """
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
        """Appends an event to the stream of all computed attributes."""
        stream = DefinitionStream("attribute", attribute.id, self.store.stream, self.store.version)
        position = stream.append(self.connection, self.workspace, event, self.idempotency_key)
        return ComputedAttributeResult(attribute.apply(event), changed=True, position=position)


def _definition_of(event: ComputedAttributeEvent) -> ComputedAttributeVersion | None:
    if isinstance(event, ComputedAttributeArchived):
        return None
    return ComputedAttributeVersion(event.name, event.description, event.computation)
