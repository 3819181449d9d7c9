"""Deciding what computed attributes there are, one decision at a time in a workspace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import Connection

from application.definitions.computed_attribute_store import ComputedBook, Decided, decided
from application.definitions.segments import computing
from application.definitions.store import Decision, Subject, free_id, id_by_key, sent_before
from application.ledger.ledger import Ledger
from domain.core.errors import Conflict
from domain.events.events import AttributeArchived
from domain.segments.computed_attribute import KIND, ComputedAttribute, Definition
from domain.segments.segment import By

MOST = 200
"""Computed attributes of a workspace that are there at the same time."""


class Outcome(NamedTuple):
    """What a decision about a computed attribute comes to."""

    attribute: ComputedAttribute
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class ComputedAttributes:
    """Decides about computed attributes."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, wanted: Definition, decision: Decision
    ) -> Outcome:
        """Make a new one; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        with self._ledger.deciding(workspace) as connection:
            turn = self._turn(connection, workspace, decision)
            if (before := turn.sent_before(id_, wanted)) is not None:
                return before
            if id_ is None:
                id_ = free_id("attribute", wanted.name, turn.book.attributes)
            elif id_ in turn.book.attributes:
                raise Conflict(
                    f"there is or was a {KIND} {id_!r}; choose another id, or change that one",
                    attribute=id_,
                )
            return turn.define(id_, wanted)

    def define(
        self,
        workspace: int,
        id_: str,
        wanted: Definition,
        decision: Decision,
        *,
        version: int | None = None,
    ) -> Outcome:
        """Make one what is wanted, whether or not it is there.

        ``version`` is that of the one that was looked at before, 0 of one that is new.  Raises Conflict if
        somebody has decided since, or if it would become of another kind, and InvalidRequest for what
        cannot be.
        """
        with self._ledger.deciding(workspace) as connection:
            turn = self._turn(connection, workspace, decision)
            if (before := turn.sent_before(id_, wanted)) is not None:
                return before
            turn.check_version(id_, version)
            return turn.define(id_, wanted)

    def archive(
        self, workspace: int, id_: str, decision: Decision, *, version: int | None = None
    ) -> Outcome:
        """Have nobody have a value from now on.

        Raises NotFound if it is not there, Conflict if others ask about it, or somebody decided since.
        """
        with self._ledger.deciding(workspace) as connection:
            turn = self._turn(connection, workspace, decision)
            if (before := turn.sent_before(id_, None)) is not None:
                return before
            attribute = turn.book.attribute(id_)
            users = turn.book.used_by(id_) | computing(connection, workspace, self._ledger, id_)
            event = attribute.archive(users, turn.by)
            turn.check_version(id_, version)
            return turn.write(attribute, event)

    def _turn(self, connection: Connection[Any], workspace: int, decision: Decision) -> _Turn:
        book = ComputedBook(connection, workspace, self._ledger)
        by = By(decision.actor, self._now(), decision.reason)
        return _Turn(connection, workspace, book, by, decision.key)


class _Turn(NamedTuple):
    """One decision, in its transaction."""

    connection: Connection[Any]
    workspace: int
    book: ComputedBook
    by: By
    key: str | None

    def check_version(self, id_: str, version: int | None) -> None:
        known = self.book.attribute(id_).version
        Subject("attribute", id_, self.book.stream, known).check_version(version)

    def sent_before(self, id_: str | None, wanted: Definition | None) -> Outcome | None:
        """Return what came of the same decision when it was first sent.  Raises Conflict."""
        made = None if self.key is None else self.book.decisions.get(id_by_key(self.key))
        if made is None:
            return None
        event = decided(made)
        if id_ not in {None, event.attribute} or _definition(event) != wanted:
            raise sent_before("attribute", event.attribute, made.position)
        attribute = self.book.attributes[event.attribute]
        return Outcome(attribute, changed=False, position=made.position)

    def define(self, id_: str, wanted: Definition) -> Outcome:
        attribute = self.book.attribute(id_)
        event = attribute.define(wanted, self.book.attributes.values(), self.by)
        if event is None:
            return Outcome(attribute, changed=False, position=self.book.positions[id_])
        if not attribute.is_there and self.book.number >= MOST:
            raise Conflict(
                f"a workspace has at most {MOST} computed attributes; archive some first",
                limit=MOST,
            )
        return self.write(attribute, event)

    def write(self, attribute: ComputedAttribute, event: Decided) -> Outcome:
        """Append a decision as the next in the stream of all."""
        subject = Subject("attribute", attribute.id, self.book.stream, self.book.version)
        position = subject.write(self.connection, self.workspace, event, self.key)
        return Outcome(attribute.after(event), changed=True, position=position)


def _definition(event: Decided) -> Definition | None:
    if isinstance(event, AttributeArchived):
        return None
    return Definition(event.name, event.description, event.computation)
