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
from application.ledger.append.prepared import Outdated, row_of
from application.ledger.ledger import Ledger
from application.ledger.tables import definitions, fired
from application.ledger.tables.outbox import NewDelivery, enqueue
from domain.core.time import from_micros
from domain.evaluation.rule_runs import Due
from domain.events.rule_events import TriggerFired
from domain.rules.actions import written
from domain.rules.rule import read

AT_ONCE = 500
"""Triggers that are fired in one transaction, about."""

BUSY, IDLE = 0.02, 0.1
"""Seconds to the next look at what is due: from the beginning of one that found some; at most, after others."""

RETRY_SECONDS = 1.0
"""How long to wait after an error."""

MARK_SECONDS = 1.0
"""How often, at most, the mark moves in a workspace in which nothing fires."""

log = structlog.get_logger(__name__)


class Found(NamedTuple):
    """What a read model knows of triggers that are due."""

    triggers: Sequence[Due]
    until: int
    """Up to which instant it knows them all, in microseconds since 1970 UTC."""


class Triggers(Protocol):
    """Where triggers are found."""

    def workspaces(self) -> Sequence[int]:
        """Return the workspaces in which something may be due."""
        ...

    def with_rules(self) -> Sequence[int]:
        """Return the workspaces that have, or had, rules."""
        ...

    def due(self, workspace: int, since: int, limit: int) -> Found:
        """Return the first that are due since an instant and that the ledger does not have, in order."""
        ...

    def attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what the person of each stream is like by now."""
        ...


class Firing:
    """Fires what is due, in every workspace."""

    def __init__(self, ledger: Ledger, triggers: Triggers) -> None:
        self._ledger, self._triggers = ledger, triggers
        self._done: dict[int, frozenset[tuple[str, int, str]]] = {}
        """Triggers that the ledger has, though the read model does not know it yet."""

    def run(self, stop: Stop) -> None:
        """Fire until told to stop.  Errors are logged, and it is tried again."""
        pause, marked = IDLE, 0.0
        while not stop.wait(pause):
            began = monotonic()
            try:
                workspaces = self._triggers.workspaces()
                if monotonic() >= marked + MARK_SECONDS:
                    workspaces, marked = self._triggers.with_rules(), monotonic()
                found = sum(map(self.step, sorted(workspaces)))
                if found:
                    pause = max(0.0, began + BUSY - monotonic())
                else:
                    pause = min(max(pause, BUSY) * 1.5, IDLE)
            except Exception:  # the server went away, say: what is due stays due
                pause = RETRY_SECONDS
                log.exception("firing_failed", retry_in_seconds=pause)

    def step(self, workspace: int) -> int:
        """Fire some of what is due, and return how many triggers that were."""
        done = self._done.get(workspace, frozenset())
        limit = AT_ONCE + len(done)
        try:
            with self._ledger.firing() as connection:
                # In this order: if somebody is erased after this, the append is refused.
                _, erasures = definitions.head(connection, workspace)
                since = fired.mark(connection, workspace)
                found = self._triggers.due(workspace, since, limit)
                # All of them: the mark is about to pass whatever was found.
                due = [it for it in found.triggers if it.key not in done]
                number = self._fire(connection, workspace, due, erasures)
                until = found.until if len(found.triggers) < limit else since
                until = max([until, *(it.at for it in due)])
                if until > since:
                    fired.move(connection, workspace, until)
        except Outdated:  # somebody is being erased: the next look will do
            return 0
        fresh = {it.key for it in due}
        self._done[workspace] = frozenset(
            it.key for it in found.triggers if it.key in done or it.key in fresh
        )
        return number

    def _fire(
        self, connection: Connection[Any], workspace: int, due: Sequence[Due], erasures: int
    ) -> int:
        digests = {self._ledger.trigger_digest(workspace, *it.key): it for it in due}
        fresh = fired.see(connection, workspace, digests) if digests else frozenset()
        if not fresh:
            return 0
        new = {digest: it for digest, it in digests.items() if digest in fresh}
        like = self._triggers.attributes(workspace, [it.stream for it in new.values()])
        deliveries = (
            each for digest, it in new.items() for each in _deliveries(digest, it, like[it.stream])
        )
        enqueue(connection, workspace, list(deliveries))
        rows = [row_of(it.stream.bytes, _event(digest, it)) for digest, it in new.items()]
        append_events(connection, workspace, rows, erasures)
        return len(new)


def _event(digest: bytes, due: Due) -> TriggerFired:
    return TriggerFired(
        id=UUID(bytes=digest),
        rule=due.rule,
        rule_version=due.version,
        cause=due.cause,
        branch=due.branch,
        occurred_at=from_micros(due.at),
    )


def _deliveries(digest: bytes, due: Due, attributes: Mapping[str, Any]) -> Iterator[NewDelivery]:
    context = msgspec.json.encode(_context(due, attributes), enc_hook=str)
    for index, action in enumerate(read(due.plan).actions(due.branch)):
        text = digest + index.to_bytes(2)
        yield NewDelivery(
            id=UUID(bytes=blake2b(text, digest_size=16, person=b"delivery").digest()),
            rule=due.rule,
            version=due.version,
            cause=due.cause,
            person=due.stream,
            action=written(action),
            context=context,
            due=from_micros(due.at),
        )


def _context(due: Due, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates see: `event` and `client.eventContext` are what the event said of itself."""
    said = due.context
    properties = said.document.get("properties", said.document)
    return {
        "event": properties,
        "customer": attributes,
        "client": {"eventContext": properties},
        "trigger": {
            "kind": said.kind,
            "subject": said.subject,
            "occurred_at": said.occurred_at,
            "branch": due.branch,
        },
        "depth": said.depth,
    }
