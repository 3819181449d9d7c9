"""Commands about definitions: create, define and archive, one at a time in a workspace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, NamedTuple

from psycopg import Connection

from application.definitions.store import (
    CommandContext,
    D,
    DefinitionResult,
    DefinitionStore,
    candidate_ids,
)
from domain.core.actor import Actor
from domain.core.errors import Conflict
from domain.definitions.definition import DefinitionVersion, References
from domain.events.events import DefinitionEvent
from domain.events.recorded import RecordedEvent


class DefinitionTransaction(NamedTuple, Generic[D]):
    """A transaction that no other command about definitions of the workspace shares."""

    connection: Connection[Any]
    store: DefinitionStore[D]
    references: References
    used_by: Callable[[str], Iterable[str]] = lambda _: ()
    """Returns the ids of the definitions that refer to a definition."""


class DefinitionService(ABC, Generic[D]):
    """Records commands about one kind of definitions; a subclass says what differs."""

    max_active: ClassVar[int | None] = None
    """Maximum number of definitions of a workspace, archived ones not counted."""

    reuses_ids: ClassVar[bool] = False
    """Whether the id of an archived definition may be created again."""

    creates_by_define: ClassVar[bool] = True
    """Whether a definition that does not exist may be defined without being created."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    @property
    @abstractmethod
    def kind(self) -> type[D]:
        """The aggregate of this kind."""

    @abstractmethod
    def _transaction(self, workspace: int) -> AbstractContextManager[DefinitionTransaction[D]]:
        """Begins a transaction about definitions of a workspace."""

    @abstractmethod
    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of a definition after a position, in order."""

    def validate(self, workspace: int, id_: str | None, definition: DefinitionVersion) -> None:
        """Raises InvalidRequest for what is checked before the transaction."""

    def candidate_ids(self, definition: DefinitionVersion) -> Iterator[str]:
        """Yields the ids that a new definition without an id may get."""
        return candidate_ids(self.kind, definition.name)

    def create(
        self,
        workspace: int,
        id_: str | None,
        definition: DefinitionVersion,
        context: CommandContext,
    ) -> DefinitionResult[D]:
        """Creates a definition; without ``id_`` the id is derived from its name.

        Raises Conflict if the id was used before, InvalidRequest for an invalid definition.
        """
        self.validate(workspace, id_, definition)
        with self._transaction(workspace) as transaction:
            return self._create(transaction, id_, definition, context)

    def define(
        self,
        workspace: int,
        id_: str,
        definition: DefinitionVersion,
        context: CommandContext,
        *,
        version: int | None = None,
    ) -> DefinitionResult[D]:
        """Creates or replaces a definition.

        ``version`` is the expected version, 0 for a new one; None: any.  Raises Conflict for another version
        or for a definition that this one cannot become, InvalidRequest for an invalid definition, and
        NotFound if it does not exist and has to be created first.
        """
        self.validate(workspace, id_, definition)
        with self._transaction(workspace) as transaction:
            earlier = transaction.store.replayed(id_, definition, context.idempotency_key)
            if earlier is not None:
                return earlier
            if not self.creates_by_define:
                transaction.store.get(id_).require_exists()
            transaction.store.check_version(id_, version)
            return self._define(transaction, id_, definition, context)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> DefinitionResult[D]:
        """Archives a definition; its history is kept.

        Raises NotFound if it does not exist, Conflict if other definitions refer to it or for another
        version than the expected one.
        """
        return self._change_status(
            workspace,
            id_,
            None,
            lambda state, used_by, actor: state.archive(used_by, actor),
            context,
            version=version,
        )

    def _change_status(
        self,
        workspace: int,
        id_: str,
        content: object,
        command: Callable[[D, Iterable[str], Actor], DefinitionEvent | None],
        context: CommandContext,
        *,
        version: int | None,
    ) -> DefinitionResult[D]:
        """Records what a command decides; ``content`` is what its event changes."""
        with self._transaction(workspace) as transaction:
            store = transaction.store
            earlier = store.replayed(id_, content, context.idempotency_key)
            if earlier is not None:
                return earlier
            event = command(store.get(id_), transaction.used_by(id_), self._actor(context))
            store.check_version(id_, version)
            return store.append(id_, event, context.idempotency_key)

    def _create(
        self,
        transaction: DefinitionTransaction[D],
        id_: str | None,
        definition: DefinitionVersion,
        context: CommandContext,
    ) -> DefinitionResult[D]:
        earlier = transaction.store.replayed(id_, definition, context.idempotency_key)
        if earlier is not None:
            return earlier
        for candidate in (id_,) if id_ is not None else self.candidate_ids(definition):
            state = transaction.store.get(candidate)
            if not (state.exists if self.reuses_ids else state.version):
                return self._define(transaction, candidate, definition, context)
        raise self._id_conflict(str(id_))

    def _define(
        self,
        transaction: DefinitionTransaction[D],
        id_: str,
        definition: DefinitionVersion,
        context: CommandContext,
    ) -> DefinitionResult[D]:
        store = transaction.store
        state = store.get(id_)
        event = state.define(definition, transaction.references, self._actor(context))
        limit = self.max_active
        if (
            event is not None
            and limit is not None
            and not state.exists
            and sum(1 for _ in store.active()) >= limit
        ):
            raise Conflict(
                f"a workspace has at most {limit:,} {self.kind.KIND}s; archive some first",
                limit=limit,
            )
        return store.append(id_, event, context.idempotency_key)

    def _id_conflict(self, id_: str) -> Conflict:
        kind = self.kind.KIND
        problem = (
            f"{kind} {id_!r} already exists; choose another id"
            if self.reuses_ids
            else f"{kind} id {id_!r} is or was in use; choose another id or update that {kind}"
        )
        return Conflict(problem, **{self.kind.KEY: id_})

    def _actor(self, context: CommandContext) -> Actor:
        return Actor(context.actor, self._now(), context.reason)
