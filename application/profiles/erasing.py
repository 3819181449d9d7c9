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
from application.ledger.append.prepared import event_row
from application.ledger.erasure import erasure, suppression
from application.ledger.erasure.erasure import ProfileTrace
from application.ledger.ledger import Ledger
from application.ledger.read import positions, snapshots
from application.ledger.read.profiles import LATEST
from application.ledger.tables import deliveries, subscriptions
from application.ledger.tables.rejected import blank_rejected
from domain.core.errors import InvalidRequest, NotFound
from domain.core.identifiers import Identifier
from domain.core.time import to_micros
from domain.events.events import (
    CommandEvent,
    MessageEvent,
    ProfileErased,
    ProfileSuppressed,
    ProfileSuppressionLifted,
)
from domain.events.recorded import RecordedEvent
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from domain.profiles.erasure import ErasureScope

MAX_OPTIMISTIC_ATTEMPTS = 3
"""Attempts that let others write until the end; the one after makes them wait from the start."""


class ErasureTransaction(Protocol):
    """A transaction in which no read model of the workspace moves."""

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the transaction, with the rights of the tables' owner."""
        ...

    def erase(self, forgotten: ErasureScope, remaining: Iterable[Sequence[RecordedEvent]]) -> None:
        """Remove the person from every read model; of mended streams, ``remaining`` is what is left."""
        ...


BeginErasure = Callable[[int], AbstractContextManager[ErasureTransaction]]
"""Begins such a transaction in a workspace; it commits at its end, or rolls back on an error."""


ProfileReference = UUID | Identifier
"""A person by one of their streams, or by one of their names."""


class ErasureContext(NamedTuple):
    """Who decided when and why.  It is kept for ever: it must not name the person."""

    at: datetime
    actor: str
    reason: str = ""


class ErasureResult(NamedTuple):
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


class ErasureService:
    """Erases, suppresses and frees people, each in one transaction with all read models."""

    def __init__(self, ledger: Ledger, begin: BeginErasure) -> None:
        self._ledger, self._begin = ledger, begin

    def erase(
        self,
        workspace: int,
        reference: ProfileReference,
        context: ErasureContext,
        *,
        suppress: bool = False,
    ) -> ErasureResult:
        """Blank all that the ledger has of a person, and remove them from every read model.

        Raises NotFound if it has nothing, unless somebody is to be suppressed as well by name.
        """
        stream = self._stream(workspace, reference)
        attempt = 0
        with self._begin(workspace) as transaction:
            connection = transaction.connection
            erasure.begin_erasure(connection)
            while True:
                attempt += 1
                with connection.transaction():  # rolled back if somebody changed who the person is
                    erasure_attempt = _ErasureAttempt(
                        self._ledger, transaction, workspace, stream, context
                    )
                    profile, events, rejections = erasure_attempt.run(
                        optimistic=attempt <= MAX_OPTIMISTIC_ATTEMPTS
                    )
                    event_types: list[type[CommandEvent]] = (
                        [ProfileErased] if events or rejections else []
                    )
                    if suppress:
                        _require_known_profile(connection, workspace, profile, reference)
                        suppression.suppress_streams(
                            connection, workspace, profile.id, profile.streams, context.at
                        )
                        event_types.append(ProfileSuppressed)
                    if not event_types:
                        raise NotFound("the ledger has nothing of this person", id=str(profile.id))
                    position = _append_command_events(
                        connection, workspace, profile.streams, context, event_types
                    )
                    return ErasureResult(
                        position, profile.id, profile.streams, events, rejections, suppress
                    )

    def suppress(
        self, workspace: int, reference: ProfileReference, context: ErasureContext
    ) -> ErasureResult:
        """Ignore later messages about a person; what is recorded stays.

        Raises NotFound for a stream that has nothing; a name may be of somebody unknown.
        """
        stream = self._stream(workspace, reference)
        with self._begin(workspace) as transaction:
            connection = transaction.connection
            erasure.begin_erasure(connection)
            unlocked = self._ledger.trace_profile(connection, workspace, stream)
            erasure.lock_head(connection, workspace, unlocked.profile.id)
            trace = self._ledger.trace_profile(connection, workspace, stream)
            _require_anonymous_reason(connection, workspace, trace, context.reason)
            _require_known_profile(connection, workspace, trace.profile, reference)
            profile_id, streams = trace.profile.id, trace.profile.streams
            suppression.suppress_streams(connection, workspace, profile_id, streams, context.at)
            position = _append_command_events(
                connection, workspace, streams, context, [ProfileSuppressed]
            )
        return ErasureResult(position, profile_id, streams, 0, 0, suppressed=True)

    def lift_suppression(
        self, workspace: int, reference: ProfileReference, context: ErasureContext
    ) -> ErasureResult:
        """Record messages about a person again.  What was erased stays so.  Raises NotFound."""
        stream = self._stream(workspace, reference)
        with self._begin(workspace) as unit:
            connection = unit.connection
            erasure.begin_erasure(connection)
            lifted = suppression.lift_suppression(connection, workspace, stream)
            if lifted is None:
                raise NotFound("this person is not suppressed", id=str(stream))
            trace = self._ledger.trace_profile(connection, workspace, stream)
            _require_anonymous_reason(connection, workspace, trace, context.reason)
            of, freed = lifted
            streams = (of, *(it for it in freed if it != of))
            erasure.lock_head(connection, workspace, of)
            position = _append_command_events(
                connection, workspace, streams, context, [ProfileSuppressionLifted]
            )
        return ErasureResult(position, of, streams, 0, 0, suppressed=False)

    def _stream(self, workspace: int, reference: ProfileReference) -> UUID:
        return (
            reference
            if isinstance(reference, UUID)
            else self._ledger.stream_of(workspace, reference)
        )


class _ErasureAttempt(NamedTuple):
    """One attempt at blanking a person."""

    ledger: Ledger
    transaction: ErasureTransaction
    workspace: int
    stream: UUID
    context: ErasureContext

    def run(self, *, optimistic: bool) -> tuple[ResolvedProfile, int, int]:
        """Blank the person everywhere, with the head of the ledger held at the end.

        A patient attempt lets others record meanwhile.  What they add of the person is blanked at
        the end; if it changes who the person is, Rollback is raised.  Returns the person, and how
        many events and rejections were blanked.
        """
        connection, workspace = self.transaction.connection, self.workspace
        if not optimistic:
            erasure.lock_head(connection, workspace, self._trace().profile.id)
        head = erasure.last_position(connection, workspace)
        trace = self._trace()
        profile = trace.profile
        _require_anonymous_reason(connection, workspace, trace, self.context.reason)
        rejections = blank_rejected(connection, workspace, trace.identifiers)
        events = self._blank_until(trace, head)
        if optimistic:
            erasure.lock_head(connection, workspace, profile.id)
            if erasure.identity_changed_since(connection, workspace, self.stream, head):
                raise Rollback
            events += erasure.blank_streams(connection, workspace, profile.streams, after=head)
        erasure.delete_stream_links(connection, workspace, profile.streams)
        subscriptions.lock_all(connection, workspace)
        deliveries.erase_deliveries(connection, workspace, profile.streams)
        return profile, events, rejections

    def _trace(self) -> ProfileTrace:
        return self.ledger.trace_profile(self.transaction.connection, self.workspace, self.stream)

    def _blank_until(self, trace: ProfileTrace, until: int) -> int:
        """Blank what is there by a position: a link after it, blanked, could not be seen any more."""
        connection, workspace, streams = (
            self.transaction.connection,
            self.workspace,
            trace.profile.streams,
        )
        erasure.delete_seen_links(connection, workspace, trace.link_digests)
        events = erasure.blank_positions(connection, workspace, trace.foreign_events)
        events += erasure.blank_streams(connection, workspace, streams, until=until)
        if events:
            # Links are facts of who is who alone; a merge is a message of its stream as well.
            rebuilt_streams = {
                it.originator_id
                for it in trace.foreign_events.values()
                if isinstance(it, MessageEvent)
            }
            forgotten = ErasureScope(workspace, streams, tuple(sorted(rebuilt_streams)))
            snapshots.delete_snapshots(connection, workspace, forgotten.cleared_streams)
            self.transaction.erase(
                forgotten,
                erasure.remaining_events(connection, workspace, forgotten.partially_blanked),
            )
        return events


def _append_command_events(
    connection: Connection[Any],
    workspace: int,
    streams: tuple[UUID, ...],
    context: ErasureContext,
    event_types: Sequence[type[CommandEvent]],
) -> int:
    """Append what was decided; return the ledger's last position."""
    at, actor, reason = context
    rows = []
    for event_type in event_types:
        text = b"%b%b%d" % (event_type.TOPIC.encode(), streams[0].bytes, to_micros(at))
        event = event_type(
            id=UUID(bytes=blake2b(text, digest_size=16).digest()),
            streams=streams,
            occurred_at=at,
            actor=actor,
            reason=reason,
        )
        rows.append(event_row(streams[0].bytes, event))
    return append_events(connection, workspace, rows)


def _require_known_profile(
    connection: Connection[Any],
    workspace: int,
    profile: ResolvedProfile,
    reference: ProfileReference,
) -> None:
    """Raise NotFound for a stream that may be another workspace's; a name never leads to one."""
    if isinstance(reference, UUID) and not erasure.has_events(
        connection, workspace, profile.streams
    ):
        raise NotFound("the ledger has nothing of this person", id=str(reference))


def _require_anonymous_reason(
    connection: Connection[Any], workspace: int, trace: ProfileTrace, reason: str
) -> None:
    """Raise InvalidRequest if a reason, which is kept, names whom it is about.

    By a name they go by, the name that the profile shows, or a way to reach them.
    """
    if not reason:
        return
    profile = trace.profile
    versions = positions.versions_at(connection, workspace, profile.streams, LATEST)
    state = profile_state.merge(snapshots.load_states(connection, workspace, versions), profile)
    shown = (profile_view.display_name(state), *(it.value for it in profile_view.contacts(state)))
    folded_reason = reason.casefold()
    for name in (*(it.value for it in trace.identifiers), *(it for it in shown if it)):
        if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", folded_reason):
            raise InvalidRequest("the reason is kept for ever, so it must not name the person")
