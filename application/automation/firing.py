"""Fires triggers: records that a rule fired, once for ever, and takes in what is to be done for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from threading import Event as Stop
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
from domain.rules.actions import encode_action
from domain.rules.rule import decode_definition

BATCH_SIZE = 500
"""Triggers that are fired in one transaction, about."""

BUSY_POLL_SECONDS, IDLE_POLL_SECONDS = 0.02, 0.1
"""Seconds to the next look at what is due: from the beginning of one that found some; at most, after others."""

RETRY_SECONDS = 1.0
"""How long to wait after an error."""

WATERMARK_INTERVAL_SECONDS = 1.0
"""How often, at most, the mark moves in a workspace in which nothing fires."""

log = structlog.get_logger(__name__)


class DueFirings(NamedTuple):
    """What a read model knows of triggers that are due."""

    firings: Sequence[DueFiring]
    complete_until: int
    """Up to which instant it knows them all, in microseconds since 1970 UTC."""


class TriggerSource(Protocol):
    """Where triggers are found."""

    def workspaces_due(self) -> Sequence[int]:
        """Return the workspaces in which something may be due."""
        ...

    def workspaces_with_rules(self) -> Sequence[int]:
        """Return the workspaces that have, or had, rules."""
        ...

    def due_firings(self, workspace: int, since: int, limit: int) -> DueFirings:
        """Return the first that are due since an instant and that the ledger does not have, in order."""
        ...

    def profile_attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what the person of each stream is like by now."""
        ...


class FiringWorker:
    """Fires what is due, in every workspace."""

    def __init__(self, ledger: Ledger, source: TriggerSource) -> None:
        self._ledger, self._source = ledger, source
        self._recorded_keys: dict[int, frozenset[tuple[str, int, str]]] = {}
        """Triggers that the ledger has, though the read model does not know it yet."""

    def run(self, stop: Stop) -> None:
        """Fire until told to stop.  Errors are logged, and it is tried again."""
        pause, watermark_moved_at = IDLE_POLL_SECONDS, 0.0
        while not stop.wait(pause):
            began = monotonic()
            try:
                workspaces = self._source.workspaces_due()
                if monotonic() >= watermark_moved_at + WATERMARK_INTERVAL_SECONDS:
                    workspaces, watermark_moved_at = (
                        self._source.workspaces_with_rules(),
                        monotonic(),
                    )
                number = sum(map(self.fire_due, sorted(workspaces)))
                if number:
                    pause = max(0.0, began + BUSY_POLL_SECONDS - monotonic())
                else:
                    pause = min(max(pause, BUSY_POLL_SECONDS) * 1.5, IDLE_POLL_SECONDS)
            except Exception:  # the server went away, say: what is due stays due
                pause = RETRY_SECONDS
                log.exception("firing_failed", retry_in_seconds=pause)

    def fire_due(self, workspace: int) -> int:
        """Fire some of what is due, and return how many triggers that were."""
        done = self._recorded_keys.get(workspace, frozenset())
        limit = BATCH_SIZE + len(done)
        try:
            with self._ledger.firing_transaction() as connection:
                # In this order: if somebody is erased after this, the append is refused.
                _, erasures = definitions.head_and_erasure_epoch(connection, workspace)
                since = fired.watermark(connection, workspace)
                found = self._source.due_firings(workspace, since, limit)
                # All of them: the mark is about to pass whatever was found.
                due = [it for it in found.firings if it.key not in done]
                number = self._fire(connection, workspace, due, erasures)
                until = found.complete_until if len(found.firings) < limit else since
                until = max([until, *(it.at for it in due)])
                if until > since:
                    fired.advance_watermark(connection, workspace, until)
        except StaleErasureEpoch:  # somebody is being erased: the next look will do
            return 0
        fresh = {it.key for it in due}
        self._recorded_keys[workspace] = frozenset(
            it.key for it in found.firings if it.key in done or it.key in fresh
        )
        return number

    def _fire(
        self, connection: Connection[Any], workspace: int, due: Sequence[DueFiring], erasures: int
    ) -> int:
        digests = {self._ledger.trigger_digest(workspace, *it.key): it for it in due}
        new_digests = fired.insert_new(connection, workspace, digests) if digests else frozenset()
        if not new_digests:
            return 0
        new = {digest: it for digest, it in digests.items() if digest in new_digests}
        attributes = self._source.profile_attributes(workspace, [it.stream for it in new.values()])
        deliveries = (
            each
            for digest, it in new.items()
            for each in _deliveries(digest, it, attributes[it.stream])
        )
        enqueue(connection, workspace, list(deliveries))
        rows = [event_row(it.stream.bytes, _event(digest, it)) for digest, it in new.items()]
        append_events(connection, workspace, rows, erasures)
        return len(new)


def _event(digest: bytes, due: DueFiring) -> TriggerFired:
    return TriggerFired(
        id=UUID(bytes=digest),
        rule=due.rule,
        rule_version=due.version,
        cause=due.cause,
        branch=due.branch,
        occurred_at=from_micros(due.at),
    )


def _deliveries(
    digest: bytes, due: DueFiring, attributes: Mapping[str, Any]
) -> Iterator[NewDelivery]:
    context = msgspec.json.encode(_context(due, attributes), enc_hook=str)
    for index, action in enumerate(decode_definition(due.plan).actions(due.branch)):
        text = digest + index.to_bytes(2)
        yield NewDelivery(
            id=UUID(bytes=blake2b(text, digest_size=16, person=b"delivery").digest()),
            rule=due.rule,
            version=due.version,
            cause=due.cause,
            profile_stream=due.stream,
            action=encode_action(action),
            context=context,
            due_at=from_micros(due.at),
        )


def _context(due: DueFiring, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates see: `event` and `client.eventContext` are what the event said of itself."""
    trigger = due.context
    properties = trigger.document.get("properties", trigger.document)
    return {
        "event": properties,
        "customer": attributes,
        "client": {"eventContext": properties},
        "trigger": {
            "kind": trigger.kind,
            "subject": trigger.subject,
            "occurred_at": trigger.occurred_at,
            "branch": due.branch,
        },
        "depth": trigger.depth,
    }
