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

from application.deliveries.rendering import Invalid, Said, depth_of
from application.ledger.append.prepared import Receipt
from application.ledger.ledger import Ledger
from application.ledger.tables.leases import Leased
from domain.core.identifiers import MAX_BYTES, Identifier
from domain.events.message import Message
from domain.identity.resolved_profile import strongest_first

SOURCE = "foldline"

DEEPEST = 5
"""How many rules may lead to one another, each by an event that the one before sent."""


class Commands:
    """Records what actions say."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def record(self, delivery: Leased, said: Said) -> Future[Receipt]:
        """Record it.  Raises Invalid for what would be refused again; Overloaded, LedgerUnavailable."""
        depth = depth_of(delivery) + 1
        if depth > DEEPEST:
            raise Invalid(
                f"rules have set off one another {DEEPEST} times, which is the most: look for two"
                " whose events lead to each other"
            )
        name = said.name.strip()
        if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise Invalid(f"an event's name has 1 to {MAX_BYTES:,} bytes")
        who = self._who(delivery)
        if not who and said.kind == "identify":
            raise Invalid("there is nobody whom it could be said of")
        return self._ledger.record(delivery.workspace, [self._message(delivery, said, who, depth)])

    def _who(self, delivery: Leased) -> tuple[Identifier, ...]:
        """Return a name of the person's; none of an action that is about nobody."""
        if delivery.person is None:
            return ()
        workspace = delivery.workspace
        person = self._ledger.person(workspace, delivery.person)
        states = self._ledger.states(workspace, person.streams)
        names = {
            *person.identifiers,
            *(it for state in states.values() for it in state.identifiers),
        }
        if not names:
            raise Invalid("nothing is known any more of the person that it is about")
        return strongest_first(names)[:1]

    def _message(
        self, delivery: Leased, said: Said, who: tuple[Identifier, ...], depth: int
    ) -> Message:
        now, message_id = self._now(), f"foldline-{delivery.id}"
        by = {"rule": delivery.rule, "version": delivery.version, "depth": depth}
        document = {
            "type": said.kind,
            **({"event": said.name.strip()} if said.kind == "track" else {}),
            "messageId": message_id,
            "timestamp": now,
            "traits" if said.kind == "identify" else "properties": msgspec.Raw(said.document),
            "context": {"foldline": by},
        }
        content = blake2b(delivery.id.bytes, digest_size=8).digest()
        return Message(
            kind="identify" if said.kind == "identify" else "track",
            name=said.name.strip().replace("\0", "\ufffd"),
            message_id=message_id,
            identifiers=who,
            occurred_at=now,
            received_at=now,
            source=SOURCE,
            payload=msgspec.json.encode(document),
            content=int.from_bytes(content, signed=True),
        )
