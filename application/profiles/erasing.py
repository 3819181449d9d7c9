"""Commands to erase a profile, to suppress it, and to lift a suppression.

Each is one transaction with all read models: it is complete when the command returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.append.append import append_events
from application.ledger.append.prepared import event_row
from application.ledger.erasure import erasure, suppression
from application.ledger.ledger import Ledger
from application.profiles.erasure_attempt import (
    BeginErasure,
    ErasureAttempt,
    ErasureContext,
    require_anonymous_reason,
)
from domain.core.errors import NotFound
from domain.core.identifiers import Identifier
from domain.core.time import to_micros
from domain.events.events import (
    CommandEvent,
    ProfileErased,
    ProfileSuppressed,
    ProfileSuppressionLifted,
)
from domain.identity.resolved_profile import ResolvedProfile

MAX_OPTIMISTIC_ATTEMPTS = 3
"""Attempts that lock the ledger head only at their end; the next one locks it from the start."""

ProfileReference = UUID | Identifier
"""A profile by one of its streams, or by one of its identifiers."""


class ErasureResult(NamedTuple):
    """Result of an erasure, a suppression or the lifting of one."""

    position: int
    """The ledger head after the command."""

    id: UUID
    """The profile's canonical stream."""

    streams: tuple[UUID, ...]
    events: int
    """Number of events that were blanked."""

    rejected: int
    """Number of rejections that were blanked because they named the profile."""

    suppressed: bool
    """Whether later messages about the profile are ignored."""


class ErasureService:
    """Erases and suppresses profiles, each in one transaction with all read models."""

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
        """Blanks a profile in the ledger, and removes it from every read model.

        Raises NotFound if the ledger has nothing of the profile; with ``suppress``, an identifier may be
        unknown.
        """
        stream = self._stream(workspace, reference)
        attempt_number = 0
        with self._begin(workspace) as transaction:
            connection = transaction.connection
            erasure.begin_erasure(connection)
            while True:
                attempt_number += 1
                with connection.transaction():  # rolled back if the profile's identity changed
                    attempt = ErasureAttempt(self._ledger, transaction, workspace, stream, context)
                    profile, events, rejections = attempt.run(
                        optimistic=attempt_number <= MAX_OPTIMISTIC_ATTEMPTS
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
                        raise NotFound(_NO_EVENTS, id=str(profile.id))
                    position = _append_command_events(
                        connection, workspace, profile.streams, context, event_types
                    )
                    return ErasureResult(
                        position, profile.id, profile.streams, events, rejections, suppress
                    )

    def suppress(
        self, workspace: int, reference: ProfileReference, context: ErasureContext
    ) -> ErasureResult:
        """Ignores later messages about a profile; what is recorded stays.

        Raises NotFound for a stream without events; an identifier may be unknown.
        """
        stream = self._stream(workspace, reference)
        with self._begin(workspace) as transaction:
            connection = transaction.connection
            erasure.begin_erasure(connection)
            unlocked = self._ledger.trace_profile(connection, workspace, stream)
            erasure.lock_head(connection, workspace, unlocked.profile.id)
            trace = self._ledger.trace_profile(connection, workspace, stream)
            require_anonymous_reason(connection, workspace, trace, context.reason)
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
        """Records messages about a profile again; erased data stays erased.

        Raises NotFound if the profile is not suppressed.
        """
        stream = self._stream(workspace, reference)
        with self._begin(workspace) as transaction:
            connection = transaction.connection
            erasure.begin_erasure(connection)
            lifted = suppression.lift_suppression(connection, workspace, stream)
            if lifted is None:
                raise NotFound("this profile is not suppressed", id=str(stream))
            trace = self._ledger.trace_profile(connection, workspace, stream)
            require_anonymous_reason(connection, workspace, trace, context.reason)
            profile_id, lifted_streams = lifted
            streams = (profile_id, *(s for s in lifted_streams if s != profile_id))
            erasure.lock_head(connection, workspace, profile_id)
            position = _append_command_events(
                connection, workspace, streams, context, [ProfileSuppressionLifted]
            )
        return ErasureResult(position, profile_id, streams, 0, 0, suppressed=False)

    def _stream(self, workspace: int, reference: ProfileReference) -> UUID:
        return (
            reference
            if isinstance(reference, UUID)
            else self._ledger.stream_of(workspace, reference)
        )


_NO_EVENTS = "the ledger has no events of this profile"


def _append_command_events(
    connection: Connection[Any],
    workspace: int,
    streams: tuple[UUID, ...],
    context: ErasureContext,
    event_types: Sequence[type[CommandEvent]],
) -> int:
    """Appends the command's events; returns the ledger head."""
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
    """Raises NotFound for a stream that may be another workspace's; an identifier never is."""
    if isinstance(reference, UUID) and not erasure.has_events(
        connection, workspace, profile.streams
    ):
        raise NotFound(_NO_EVENTS, id=str(reference))
