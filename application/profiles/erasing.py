"""Erasing people, ignoring what is sent about them, and ending that: decided once, done when it returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import Connection, Rollback

from application.ledger.append.append import append_events
from application.ledger.append.prepared import microseconds, row_of
from application.ledger.erasure import erasure, suppression
from application.ledger.erasure.erasure import Trace
from application.ledger.ledger import Ledger
from application.ledger.read import positions, snapshots
from application.ledger.read.profiles import LATEST
from application.ledger.tables import deliveries, subscriptions
from application.ledger.tables.rejected import forget_rejected
from domain.core.errors import InvalidRequest, NotFound
from domain.core.identifiers import Identifier
from domain.events.events import Decree, Erased, MessageEvent, Suppressed, SuppressionLifted
from domain.events.recorded import Recorded
from domain.identity.resolved_profile import Person
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from domain.profiles.erasure import Forgotten

PATIENT = 3
"""Attempts that let others write until the end; the one after makes them wait from the start."""


class Forgetting(Protocol):
    """A transaction in which no read model of the workspace moves."""

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the transaction, with the rights of the tables' owner."""
        ...

    def forget(self, forgotten: Forgotten, remaining: Iterable[Sequence[Recorded]]) -> None:
        """Remove the person from every read model; of mended streams, ``remaining`` is what is left."""
        ...


Transaction = Callable[[int], AbstractContextManager[Forgetting]]
"""Begins such a transaction in a workspace; it commits at its end, or rolls back on an error."""


Whom = UUID | Identifier
"""A person by one of their streams, or by one of their names."""


class Decision(NamedTuple):
    """Who decided when and why.  It is kept for ever: it must not name the person."""

    at: datetime
    actor: str
    reason: str = ""


class Receipt(NamedTuple):
    """What an erasure, a suppression or a lifting came to."""

    position: int
    """The ledger's last position after it."""

    id: UUID
    """The person's canonical stream."""

    streams: tuple[UUID, ...]
    events: int
    """How many events were blanked."""

    rejected: int
    """How many messages that could not be accepted were blanked, for they named the person."""

    suppressed: bool
    """Whether later messages about the person are ignored."""


class Erasing:
    """Erases, suppresses and frees people, each in one transaction with all read models."""

    def __init__(self, ledger: Ledger, transaction: Transaction) -> None:
        self._ledger, self._transaction = ledger, transaction

    def erase(
        self, workspace: int, whom: Whom, decision: Decision, *, suppress: bool = False
    ) -> Receipt:
        """Blank all that the ledger has of a person, and remove them from every read model.

        Raises NotFound if it has nothing, unless somebody is to be suppressed as well by name.
        """
        stream = self._stream(workspace, whom)
        attempt = 0
        with self._transaction(workspace) as unit:
            connection = unit.connection
            erasure.begin(connection)
            while True:
                attempt += 1
                with connection.transaction():  # rolled back if somebody changed who the person is
                    blank = _Blank(self._ledger, unit, workspace, stream, decision)
                    person, events, rejections = blank.run(patient=attempt <= PATIENT)
                    done: list[type[Decree]] = [Erased] if events or rejections else []
                    if suppress:
                        _refuse_strangers(connection, workspace, person, whom)
                        suppression.add(
                            connection, workspace, person.id, person.streams, decision.at
                        )
                        done.append(Suppressed)
                    if not done:
                        raise NotFound("the ledger has nothing of this person", id=str(person.id))
                    position = _record(connection, workspace, person.streams, decision, done)
                    return Receipt(
                        position, person.id, person.streams, events, rejections, suppress
                    )

    def suppress(self, workspace: int, whom: Whom, decision: Decision) -> Receipt:
        """Ignore later messages about a person; what is recorded stays.

        Raises NotFound for a stream that has nothing; a name may be of somebody unknown.
        """
        stream = self._stream(workspace, whom)
        with self._transaction(workspace) as unit:
            connection = unit.connection
            erasure.begin(connection)
            found = self._ledger.trace(connection, workspace, stream)
            erasure.hold_head(connection, workspace, found.person.id)
            trace = self._ledger.trace(connection, workspace, stream)
            _refuse_names(connection, workspace, trace, decision.reason)
            _refuse_strangers(connection, workspace, trace.person, whom)
            of, streams = trace.person.id, trace.person.streams
            suppression.add(connection, workspace, of, streams, decision.at)
            position = _record(connection, workspace, streams, decision, [Suppressed])
        return Receipt(position, of, streams, 0, 0, suppressed=True)

    def lift(self, workspace: int, whom: Whom, decision: Decision) -> Receipt:
        """Record messages about a person again.  What was erased stays so.  Raises NotFound."""
        stream = self._stream(workspace, whom)
        with self._transaction(workspace) as unit:
            connection = unit.connection
            erasure.begin(connection)
            lifted = suppression.lift(connection, workspace, stream)
            if lifted is None:
                raise NotFound("this person is not suppressed", id=str(stream))
            trace = self._ledger.trace(connection, workspace, stream)
            _refuse_names(connection, workspace, trace, decision.reason)
            of, freed = lifted
            streams = (of, *(it for it in freed if it != of))
            erasure.hold_head(connection, workspace, of)
            position = _record(connection, workspace, streams, decision, [SuppressionLifted])
        return Receipt(position, of, streams, 0, 0, suppressed=False)

    def _stream(self, workspace: int, whom: Whom) -> UUID:
        return whom if isinstance(whom, UUID) else self._ledger.stream_of(workspace, whom)


class _Blank(NamedTuple):
    """One attempt at blanking a person."""

    ledger: Ledger
    unit: Forgetting
    workspace: int
    stream: UUID
    decision: Decision

    def run(self, *, patient: bool) -> tuple[Person, int, int]:
        """Blank the person everywhere, with the head of the ledger held at the end.

        A patient attempt lets others record meanwhile.  What they add of the person is blanked at
        the end; if it changes who the person is, Rollback is raised.  Returns the person, and how
        many events and rejections were blanked.
        """
        connection, workspace = self.unit.connection, self.workspace
        if not patient:
            erasure.hold_head(connection, workspace, self._trace().person.id)
        before = erasure.head(connection, workspace)
        trace = self._trace()
        person = trace.person
        _refuse_names(connection, workspace, trace, self.decision.reason)
        rejections = forget_rejected(connection, workspace, trace.identifiers)
        events = self._blank(trace, before)
        if patient:
            erasure.hold_head(connection, workspace, person.id)
            if erasure.changed(connection, workspace, self.stream, before):
                raise Rollback
            events += erasure.blank_streams(connection, workspace, person.streams, after=before)
        erasure.sever_streams(connection, workspace, person.streams)
        subscriptions.wait_for_turn(connection, workspace)
        deliveries.forget(connection, workspace, person.streams)
        return person, events, rejections

    def _trace(self) -> Trace:
        return self.ledger.trace(self.unit.connection, self.workspace, self.stream)

    def _blank(self, trace: Trace, until: int) -> int:
        """Blank what is there by a position: a link after it, blanked, could not be seen any more."""
        connection, workspace, streams = (
            self.unit.connection,
            self.workspace,
            trace.person.streams,
        )
        erasure.forget_links(connection, workspace, trace.links)
        events = erasure.blank_at(connection, workspace, trace.outside)
        events += erasure.blank_streams(connection, workspace, streams, until=until)
        if events:
            # Links are facts of who is who alone; a merge is a message of its stream as well.
            mended = {
                it.originator_id for it in trace.outside.values() if isinstance(it, MessageEvent)
            }
            forgotten = Forgotten(workspace, streams, tuple(sorted(mended)))
            snapshots.forget(connection, workspace, forgotten.cleared)
            self.unit.forget(forgotten, erasure.remaining(connection, workspace, forgotten.mended))
        return events


def _record(
    connection: Connection[Any],
    workspace: int,
    streams: tuple[UUID, ...],
    decision: Decision,
    kinds: Sequence[type[Decree]],
) -> int:
    """Append what was decided; return the ledger's last position."""
    at, actor, reason = decision
    rows = []
    for kind in kinds:
        text = b"%b%b%d" % (kind.TOPIC.encode(), streams[0].bytes, microseconds(at))
        decree = kind(
            id=UUID(bytes=blake2b(text, digest_size=16).digest()),
            streams=streams,
            occurred_at=at,
            actor=actor,
            reason=reason,
        )
        rows.append(row_of(streams[0].bytes, decree))
    return append_events(connection, workspace, rows)


def _refuse_strangers(
    connection: Connection[Any], workspace: int, person: Person, whom: Whom
) -> None:
    """Raise NotFound for a stream that may be another workspace's; a name never leads to one."""
    if isinstance(whom, UUID) and not erasure.has_any(connection, workspace, person.streams):
        raise NotFound("the ledger has nothing of this person", id=str(whom))


def _refuse_names(connection: Connection[Any], workspace: int, trace: Trace, reason: str) -> None:
    """Raise InvalidRequest if a reason, which is kept, names whom it is about.

    By a name they go by, the name that the profile shows, or a way to reach them.
    """
    if not reason:
        return
    person = trace.person
    versions = positions.versions_at(connection, workspace, person.streams, LATEST)
    state = profile_state.join(snapshots.states_at(connection, workspace, versions), person)
    shown = (profile_view.name(state), *(it.value for it in profile_view.contacts(state)))
    said = reason.casefold()
    for name in (*(it.value for it in trace.identifiers), *(it for it in shown if it)):
        if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", said):
            raise InvalidRequest("the reason is kept for ever, so it must not name the person")
