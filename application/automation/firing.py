"""Firing of rules: records each due firing in the ledger exactly once, with its deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from threading import Event
from time import monotonic
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
import structlog
from psycopg import Connection

from application.ledger.append.append import append_events
from application.ledger.append.prepared import StaleErasureEpoch, event_row
from application.ledger.ledger import Ledger
from application.ledger.tables import definitions, fired
from application.ledger.tables.outbox import NewDelivery, enqueue
from domain.core.time import from_micros
from domain.evaluation.rule_runs import DueFiring
from domain.events.rule_events import TriggerFired
from domain.rules.rule import decode_definition

BATCH_SIZE = 500
"""Approximate number of firings that are recorded in one transaction."""

BUSY_POLL_SECONDS, IDLE_POLL_SECONDS = 0.02, 0.1
"""Time between two queries for due firings, in seconds.

The former counts from the start of a query that found some; the latter is the maximum after empty queries.
"""

RETRY_SECONDS = 1.0
"""Pause after an error."""

WATERMARK_INTERVAL_SECONDS = 1.0
"""Minimum time between two moves of the watermark of a workspace in which nothing fires."""

log = structlog.get_logger(__name__)

FiringKey = tuple[str, int, str]
"""Identifies a firing: rule, version and cause."""


class DueFirings(NamedTuple):
    """The firings that a read model knows to be due, in the order of their instants."""

    firings: Sequence[DueFiring]
    complete_until: int
    """Instant up to which the read model knows all firings, in microseconds since 1970 UTC."""


class TriggerSource(Protocol):
    """Port to the read models that derive due firings."""

    def workspaces_due(self) -> Sequence[int]:
        """Returns the workspaces in which firings may be due."""
        ...

    def workspaces_with_rules(self) -> Sequence[int]:
        """Returns the workspaces that have, or had, rules."""
        ...

    def due_firings(self, workspace: int, since: int, limit: int) -> DueFirings:
        """Returns the first ``limit`` firings that are due since an instant, in order.

        Firings that the read model knows to be recorded are left out.
        """
        ...

    def profile_attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Returns the current attributes of each stream's profile, by stream."""
        ...


def select_new(
    firings: Sequence[DueFiring], recorded_keys: frozenset[FiringKey]
) -> Sequence[DueFiring]:
    """Returns the firings that are not recorded yet."""
    return [firing for firing in firings if firing.key not in recorded_keys]


def next_watermark(
    watermark: int, due: DueFirings, selected: Sequence[DueFiring], limit: int
) -> int:
    """Returns the watermark once ``selected`` is recorded: no older firing is ever recorded.

    It reaches the latest recorded instant.  If the query was exhausted, it also reaches the instant up to
    which the read model is complete: fewer than ``limit`` firings were found, so none is left before it.
    It never moves back.  All instants are in microseconds since 1970 UTC.
    """
    exhausted = len(due.firings) < limit
    complete_until = due.complete_until if exhausted else watermark
    return max([watermark, complete_until, *(firing.at for firing in selected)])


class FiringWorker:
    """Records due firings, in every workspace."""

    def __init__(self, ledger: Ledger, source: TriggerSource) -> None:
        self._ledger, self._source = ledger, source
        self._recorded_keys: dict[int, frozenset[FiringKey]] = {}
        """By workspace: firings that are recorded, which the read model does not know yet."""

    def run(self, stop: Event) -> None:
        """Records due firings until ``stop`` is set.  Errors are logged, then it continues."""
        pause, watermark_moved_at = IDLE_POLL_SECONDS, 0.0
        while not stop.wait(pause):
            began = monotonic()
            try:
                workspaces = self._source.workspaces_due()
                if monotonic() >= watermark_moved_at + WATERMARK_INTERVAL_SECONDS:
                    workspaces = self._source.workspaces_with_rules()
                    watermark_moved_at = monotonic()
                number = sum(map(self.fire_due, sorted(workspaces)))
                if number:
                    pause = max(0.0, began + BUSY_POLL_SECONDS - monotonic())
                else:
                    pause = min(max(pause, BUSY_POLL_SECONDS) * 1.5, IDLE_POLL_SECONDS)
            except Exception:  # e.g. the database restarted: due firings stay due
                pause = RETRY_SECONDS
                log.exception("firing_failed", retry_in_seconds=pause)

    def fire_due(self, workspace: int) -> int:
        """Records some of the due firings of a workspace; returns how many."""
        recorded_keys = self._recorded_keys.get(workspace, frozenset())
        limit = BATCH_SIZE + len(recorded_keys)
        try:
            with self._ledger.firing_transaction() as connection:
                # The epoch comes first: an erasure after it makes the append fail.
                _, erasure_epoch = definitions.head_and_erasure_epoch(connection, workspace)
                watermark = fired.watermark(connection, workspace)
                due = self._source.due_firings(workspace, watermark, limit)
                # All new ones are recorded: the watermark passes everything that was found.
                firings = select_new(due.firings, recorded_keys)
                number = self._record(connection, workspace, firings, erasure_epoch)
                advanced = next_watermark(watermark, due, firings, limit)
                if advanced > watermark:
                    fired.advance_watermark(connection, workspace, advanced)
        except StaleErasureEpoch:  # a profile is being erased: the next call tries again
            return 0
        self._recorded_keys[workspace] = frozenset(firing.key for firing in due.firings)
        return number

    def _record(
        self,
        connection: Connection[Any],
        workspace: int,
        firings: Sequence[DueFiring],
        erasure_epoch: int,
    ) -> int:
        """Appends events and enqueues deliveries; returns how many firings were new to the ledger."""
        digests = {self._ledger.trigger_digest(workspace, *f.key): f for f in firings}
        new_digests = fired.insert_new(connection, workspace, digests) if digests else frozenset()
        if not new_digests:
            return 0
        new = {digest: firing for digest, firing in digests.items() if digest in new_digests}
        streams = [firing.stream for firing in new.values()]
        attributes = self._source.profile_attributes(workspace, streams)
        deliveries = (
            delivery
            for digest, firing in new.items()
            for delivery in _deliveries(digest, firing, attributes[firing.stream])
        )
        enqueue(connection, workspace, list(deliveries))
        rows = [
            event_row(firing.stream.bytes, _event(digest, firing)) for digest, firing in new.items()
        ]
        append_events(connection, workspace, rows, erasure_epoch)
        return len(new)


def _event(digest: bytes, firing: DueFiring) -> TriggerFired:
    return TriggerFired(
        id=UUID(bytes=digest),
        rule=firing.rule,
        rule_version=firing.version,
        cause=firing.cause,
        branch=firing.branch,
        occurred_at=from_micros(firing.at),
    )


def _deliveries(
    digest: bytes, firing: DueFiring, attributes: Mapping[str, Any]
) -> Iterator[NewDelivery]:
    context = msgspec.json.encode(_context(firing, attributes), enc_hook=str)
    for index, action in enumerate(decode_definition(firing.plan).actions(firing.branch)):
        text = digest + index.to_bytes(2)
        yield NewDelivery(
            id=UUID(bytes=blake2b(text, digest_size=16, person=b"delivery").digest()),
            rule=firing.rule,
            version=firing.version,
            cause=firing.cause,
            profile_stream=firing.stream,
            action=action.encode(),
            context=context,
            due_at=from_micros(firing.at),
        )


def _context(firing: DueFiring, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what templates see; `event` and `client.eventContext` are the event's properties."""
    trigger = firing.context
    properties = trigger.document.get("properties", trigger.document)
    return {
        "event": properties,
        "customer": attributes,
        "client": {"eventContext": properties},
        "trigger": {
            "kind": trigger.kind,
            "subject": trigger.subject,
            "occurred_at": trigger.occurred_at,
            "branch": firing.branch,
        },
        "depth": trigger.depth,
    }
