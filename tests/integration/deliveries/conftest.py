"""Everything that goes out, over a real database, to receivers on this machine, by a clock that is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.deliveries.addresses import parse_networks
from application.deliveries.endpoints import EndpointDefinition
from application.deliveries.service import DeliveryService
from application.ledger.tables.outbox import NewDelivery, enqueue
from tests.fix_ledger import Bench
from tests.receiver import Receiver

HERE = parse_networks("127.0.0.0/8")
CONTEXT = b'{"event": {"total": 7}, "customer": {"plan": "pro"}, "client": {}, "depth": 0}'


@dataclass
class Clock:
    """Stands still until it is moved."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Out:
    """Deliveries of one workspace."""

    bench: Bench
    clock: Clock
    outgoing: DeliveryService
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> int:
        return self.bench.workspace

    def endpoint(self, receiver: Receiver | str, id_: str = "crm", **more: Any) -> None:
        url = receiver if isinstance(receiver, str) else receiver.url
        wanted = EndpointDefinition(url, **more)
        _, self.secrets[id_] = self.outgoing.endpoints.create(self.workspace, id_, wanted)

    def enqueue(self, number: int = 1, endpoint: str = "crm", **facts: Any) -> UUID:
        asked = NewDelivery(
            id=UUID(int=number),
            rule="welcome",
            version=1,
            cause=f"position {number}",
            profile_stream=None,
            action=b'{"webhook": {"endpoint": "%b"}}' % endpoint.encode(),
            context=CONTEXT,
            due_at=self.clock(),
        )._replace(**facts)
        with self.bench.store.raw_connection() as connection:
            enqueue(connection, self.workspace, [asked])
        return asked.id

    def run(self) -> None:
        """Do what is due by now."""
        self.outgoing.worker.run_until_idle()

    def state(self, number: int = 1) -> tuple[str, int]:
        row, _ = self.outgoing.get(self.workspace, UUID(int=number))
        return row.state, row.attempts


@pytest.fixture
def out(bench: Bench) -> Out:
    clock = Clock()
    outgoing = DeliveryService(bench.store, bench.ledger, key=bytes(32), allowed=HERE, now=clock)
    return Out(bench, clock, outgoing)
