"""Deliveries over a real database to receivers on this machine, by a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from application.definitions.store import CommandContext
from application.deliveries.networks import parse_networks
from application.deliveries.service import DeliveryService
from application.ledger.tables.outbox import NewDelivery, enqueue
from domain.delivery.outbound import EndpointDefinition, outbound_version
from tests.fix_ledger import Bench
from tests.receiver import Receiver

LOCAL_NETWORKS = parse_networks("127.0.0.0/8")
CONTEXT = b'{"event": {"total": 7}, "customer": {"plan": "pro"}, "client": {}, "depth": 0}'


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Outbound:
    """Endpoints and deliveries of one workspace."""

    bench: Bench
    clock: Clock
    deliveries: DeliveryService
    secrets: dict[str, str] = field(default_factory=dict)
    """Secrets of the endpoints, by endpoint id."""

    @property
    def workspace(self) -> int:
        return self.bench.workspace

    def endpoint(self, receiver: Receiver | str, id_: str = "crm", **options: Any) -> None:
        """Creates an endpoint at a receiver or URL."""
        url = receiver if isinstance(receiver, str) else receiver.url
        definition = outbound_version(EndpointDefinition(url, **options))
        endpoints = self.deliveries.endpoints
        endpoints.create(self.workspace, id_, definition, CommandContext("key-1"))
        self.secrets[id_] = endpoints.secret(endpoints.get(self.workspace, id_))

    def enqueue(self, number: int = 1, endpoint: str = "crm", **fields: Any) -> UUID:
        """Enqueues delivery ``number``, due now; returns its id."""
        delivery = NewDelivery(
            id=UUID(int=number),
            rule="welcome",
            version=1,
            cause=f"position {number}",
            profile_stream=None,
            action=b'{"webhook": {"endpoint": "%b"}}' % endpoint.encode(),
            context=CONTEXT,
            due_at=self.clock(),
        )._replace(**fields)
        with self.bench.store.raw_connection() as connection:
            enqueue(connection, self.workspace, [delivery])
        return delivery.id

    def run(self) -> None:
        """Executes what is due now."""
        self.deliveries.worker.run_until_idle()

    def state(self, number: int = 1) -> tuple[str, int]:
        """Returns a delivery's state and number of attempts."""
        row, _ = self.deliveries.get(self.workspace, UUID(int=number))
        return row.state, row.attempts
