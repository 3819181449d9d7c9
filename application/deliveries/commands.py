"""Rule actions that are recorded in the ledger as messages, like messages from outside.

The message id is derived from the delivery's id, so a worker that dies between recording the message and
completing the delivery does not record it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from application.deliveries.rendering import InvalidAction, rule_depth
from application.ledger.append.prepared import Receipt
from application.ledger.ledger import Ledger
from application.ledger.tables.leases import LeasedDelivery
from domain.core.identifiers import MAX_IDENTIFIER_BYTES, Identifier
from domain.events.message import Message
from domain.identity.resolved_profile import strongest_first
from domain.rules.actions.action import LedgerCommand
from domain.rules.definition import MAX_RULE_DEPTH

SOURCE = "foldline"


class CommandRecorder:
    """Records the messages of `send_event`, `set_attribute` and tag actions."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def record(self, delivery: LeasedDelivery, command: LedgerCommand) -> Future[Receipt]:
        """Records the command's message; the receipt follows once the message is durable.

        Raises InvalidAction if the command would be refused again, Overloaded, LedgerUnavailable.
        """
        depth = rule_depth(delivery) + 1
        if depth > MAX_RULE_DEPTH:
            raise InvalidAction(
                f"rules triggered each other {MAX_RULE_DEPTH} times (the maximum); look for two rules"
                " whose events trigger each other"
            )
        name = command.name.strip()
        if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_IDENTIFIER_BYTES:
            raise InvalidAction(f"an event name has 1 to {MAX_IDENTIFIER_BYTES:,} bytes")
        identifiers = self._strongest_identifier(delivery)
        if not identifiers and command.kind == "identify":
            raise InvalidAction("no identifier available for this profile")
        return self._ledger.record(
            delivery.workspace, [self._message(delivery, command, identifiers, depth)]
        )

    def _strongest_identifier(self, delivery: LeasedDelivery) -> tuple[Identifier, ...]:
        """Returns the profile's strongest identifier; empty for an action without a profile.

        Raises InvalidAction if the ledger knows no identifier of the profile.
        """
        if delivery.profile_stream is None:
            return ()
        workspace = delivery.workspace
        profile = self._ledger.profile(workspace, delivery.profile_stream)
        states = self._ledger.stream_states(workspace, profile.streams)
        identifiers = {
            *profile.identifiers,
            *(identifier for state in states.values() for identifier in state.identifiers),
        }
        if not identifiers:
            raise InvalidAction("this profile was erased or is unknown")
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
