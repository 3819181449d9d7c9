"""One attempt at blanking a profile, in the ledger and in all read models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import Connection, Rollback

from application.ledger.erasure import erasure
from application.ledger.erasure.erasure import ProfileTrace
from application.ledger.ledger import Ledger
from application.ledger.read import positions, snapshots
from application.ledger.read.profiles import LATEST
from application.ledger.tables import deliveries, subscriptions
from application.ledger.tables.rejected import blank_rejected
from domain.core.errors import InvalidRequest
from domain.events.events import MessageEvent
from domain.events.recorded import RecordedEvent
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from domain.profiles.erasure import ErasureScope


class ErasureTransaction(Protocol):
    """A transaction in which no read model of the workspace advances."""

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the transaction, with the rights of the tables' owner."""
        ...

    def erase(self, scope: ErasureScope, remaining: Iterable[Sequence[RecordedEvent]], /) -> None:
        """Removes the profile from every read model.

        ``remaining`` are the events that are left in partially blanked streams, in batches.
        """
        ...


BeginErasure = Callable[[int], AbstractContextManager[ErasureTransaction]]
"""Begins such a transaction in a workspace; it commits at its end, or rolls back on an error."""


class ErasureContext(NamedTuple):
    """Time, actor and reason of a command.

    Stored permanently: they must not identify the profile.
    """

    at: datetime
    actor: str
    reason: str = ""


class BlankedProfile(NamedTuple):
    """A profile that was blanked, and how much of it there was."""

    profile: ResolvedProfile
    events: int
    rejections: int


class ErasureAttempt(NamedTuple):
    """One attempt at blanking a profile, within a transaction that may be rolled back."""

    ledger: Ledger
    transaction: ErasureTransaction
    workspace: int
    stream: UUID
    context: ErasureContext

    def run(self, *, optimistic: bool) -> BlankedProfile:
        """Blanks the profile everywhere, and ends with the ledger head locked.

        An optimistic attempt lets others append meanwhile, and blanks what they add to the profile at its
        end.  It raises Rollback if they changed which identifiers belong to the profile.
        """
        connection, workspace = self.transaction.connection, self.workspace
        if not optimistic:
            erasure.lock_head(connection, workspace, self._trace().profile.id)
        head = erasure.last_position(connection, workspace)
        trace = self._trace()
        profile = trace.profile
        require_anonymous_reason(connection, workspace, trace, self.context.reason)
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
        return BlankedProfile(profile, events, rejections)

    def _trace(self) -> ProfileTrace:
        return self.ledger.trace_profile(self.transaction.connection, self.workspace, self.stream)

    def _blank_until(self, trace: ProfileTrace, until: int) -> int:
        """Blanks events up to a position; returns how many.

        Later events stay readable: a later link, once blanked, could not show that the identity changed.
        """
        connection, workspace = self.transaction.connection, self.workspace
        streams = trace.profile.streams
        erasure.delete_seen_links(connection, workspace, trace.link_digests)
        events = erasure.blank_positions(connection, workspace, trace.foreign_events)
        events += erasure.blank_streams(connection, workspace, streams, until=until)
        if events:
            # Links are only facts of identity; a merge is a message of its stream as well.
            rebuilt_streams = {
                event.originator_id
                for event in trace.foreign_events.values()
                if isinstance(event, MessageEvent)
            }
            scope = ErasureScope(workspace, streams, tuple(sorted(rebuilt_streams)))
            snapshots.delete_snapshots(connection, workspace, scope.cleared_streams)
            self.transaction.erase(
                scope, erasure.remaining_events(connection, workspace, scope.partially_blanked)
            )
        return events


def require_anonymous_reason(
    connection: Connection[Any], workspace: int, trace: ProfileTrace, reason: str
) -> None:
    """Raises InvalidRequest if a reason identifies the profile: the reason is never erased.

    It must not contain an identifier, the display name or a contact of the profile.
    """
    if not reason:
        return
    profile = trace.profile
    versions = positions.versions_at(connection, workspace, profile.streams, LATEST)
    state = profile_state.merge(snapshots.load_states(connection, workspace, versions), profile)
    contacts = [contact.value for contact in profile_view.contacts(state)]
    identifiers = [identifier.value for identifier in trace.identifiers]
    folded_reason = reason.casefold()
    for name in (*identifiers, profile_view.display_name(state), *contacts):
        if name and re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", folded_reason):
            raise InvalidRequest(
                "the reason is stored permanently and must not identify the profile"
            )
