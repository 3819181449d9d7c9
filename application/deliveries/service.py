"""Facade of outbound deliveries: endpoints, subscriptions, deliveries and their worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from application.deliveries.addresses import AddressGuard
from application.deliveries.commands import CommandRecorder
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoints import EndpointService
from application.deliveries.networks import Network
from application.deliveries.subscriptions import SubscriptionService
from application.deliveries.worker import DeliveryWorker
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables import deliveries
from application.ledger.tables.deliveries import AttemptRow, DeliveryRow
from domain.core.errors import Conflict, NotFound


class DeliveryService:
    """Endpoints, subscriptions and deliveries of one Foldline.

    ``key`` encrypts endpoint secrets (32 bytes); ``allowed`` are networks outside the public internet that
    webhooks may be sent to.
    """

    def __init__(
        self,
        store: LedgerDatastore,
        ledger: Ledger,
        *,
        key: bytes | None = None,
        allowed: Iterable[Network] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        guard: AddressGuard | None = None,
        **worker_options: Any,
    ) -> None:
        guard, cipher = guard or AddressGuard(allowed), SecretCipher(key)
        self._store, self._now = store, now
        self.endpoints = EndpointService(store, guard, cipher, now)
        self.subscriptions = SubscriptionService(store, self.endpoints, now)
        self.worker = DeliveryWorker(
            store, CommandRecorder(ledger, now), guard, cipher, now=now, **worker_options
        )

    def list(
        self,
        workspace: int,
        *,
        rule: str | None = None,
        endpoint: str | None = None,
        state: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> tuple[Sequence[DeliveryRow], Mapping[UUID, Sequence[AttemptRow]]]:
        """Returns deliveries, the newest first, and the attempts of each by its id.

        ``before`` is the last row of the page before: its creation time and id.
        """
        with self._store.connection() as connection:
            rows = deliveries.list_deliveries(
                connection,
                workspace,
                rule=rule,
                queue=endpoint,
                state=state,
                before=before,
                limit=limit,
            )
            ids = [row.id for row in rows]
            return rows, deliveries.attempts_by_delivery(connection, workspace, ids)

    def get(self, workspace: int, id_: UUID) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
        """Returns one delivery and its attempts.  Raises NotFound."""
        with self._store.connection() as connection:
            row = deliveries.get_delivery(connection, workspace, id_)
            if row is None:
                raise NotFound("this delivery does not exist in the workspace", id=str(id_))
            return row, deliveries.attempts_by_delivery(connection, workspace, [id_])[id_]

    def replay(self, workspace: int, id_: UUID) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
        """Redelivers: the same delivery, under the same id, is due now.  Raises NotFound, Conflict."""
        delivery, _ = self.get(workspace, id_)
        with self._store.connection() as connection:
            if not deliveries.redeliver(connection, workspace, delivery, self._now()):
                raise Conflict(
                    "the delivery is in progress, or its profile was erased",
                    id=str(id_),
                )
        return self.get(workspace, id_)
