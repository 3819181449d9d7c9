"""Actions that go back into the ledger: a command enters at the left, as if somebody had sent it.

Its message id is made of the delivery's, so that a worker that dies between recording it and saying so
records it once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from application.deliveries.rendering import InvalidAction, LedgerCommand, rule_depth
from application.ledger.append.prepared import Receipt
from application.ledger.ledger import Ledger
from application.ledger.tables.leases import LeasedDelivery
from domain.core.identifiers import MAX_IDENTIFIER_BYTES, Identifier
from domain.events.message import Message
from domain.identity.resolved_profile import strongest_first

SOURCE = "foldline"

MAX_RULE_DEPTH = 5
"""How many rules may lead to one another, each by an event that the one before sent."""


class CommandRecorder:
    """Records what actions say."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def record(self, delivery: LeasedDelivery, command: LedgerCommand) -> Future[Receipt]:
        """Record it.  Raises Invalid for what would be refused again; Overloaded, LedgerUnavailable."""
        depth = rule_depth(delivery) + 1
        if depth > MAX_RULE_DEPTH:
            raise InvalidAction(
                f"rules have set off one another {MAX_RULE_DEPTH} times, which is the most: look for two"
                " whose events lead to each other"
            )
        name = command.name.strip()
        if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_IDENTIFIER_BYTES:
            raise InvalidAction(f"an event's name has 1 to {MAX_IDENTIFIER_BYTES:,} bytes")
        identifiers = self._strongest_identifier(delivery)
        if not identifiers and command.kind == "identify":
            raise InvalidAction("there is nobody whom it could be said of")
        return self._ledger.record(
            delivery.workspace, [self._message(delivery, command, identifiers, depth)]
        )

    def _strongest_identifier(self, delivery: LeasedDelivery) -> tuple[Identifier, ...]:
        """Return a name of the person's; none of an action that is about nobody."""
        if delivery.profile_stream is None:
            return ()
        workspace = delivery.workspace
        profile = self._ledger.profile(workspace, delivery.profile_stream)
        states = self._ledger.stream_states(workspace, profile.streams)
        identifiers = {
            *profile.identifiers,
            *(it for state in states.values() for it in state.identifiers),
        }
        if not identifiers:
            raise InvalidAction("nothing is known any more of the person that it is about")
        return strongest_first(identifiers)[:1]

    def _message(
        self,
        delivery: LeasedDelivery,
        command: LedgerCommand,
        identifiers: tuple[Identifier, ...],
        depth: int,
    ) -> Message:
        now, message_id = self._now(), f"foldline-{delivery.id}"
        origin = {"rule": delivery.rule, "version": delivery.version, "depth": depth}
        document = {
            "type": command.kind,
            **({"event": command.name.strip()} if command.kind == "track" else {}),
            "messageId": message_id,
            "timestamp": now,
            "traits" if command.kind == "identify" else "properties": msgspec.Raw(command.document),
            "context": {"foldline": origin},
        }
        content = blake2b(delivery.id.bytes, digest_size=8).digest()
        return Message(
            kind="identify" if command.kind == "identify" else "track",
            name=command.name.strip().replace("\0", "\ufffd"),
            message_id=message_id,
            identifiers=identifiers,
            occurred_at=now,
            received_at=now,
            source=SOURCE,
            payload=msgspec.json.encode(document),
            fingerprint=int.from_bytes(content, signed=True),
        )
