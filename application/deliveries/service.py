"""All that goes out, in one hand: the endpoints, what was sent to them, and the worker that sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from application.deliveries.addresses import AddressGuard, Network
from application.deliveries.commands import CommandRecorder
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoints import EndpointService
from application.deliveries.subscriptions import SubscriptionService
from application.deliveries.worker import DeliveryWorker
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables import deliveries
from application.ledger.tables.deliveries import AttemptRow, DeliveryRow
from domain.core.errors import Conflict, NotFound


class DeliveryService:
    """What goes out of one Foldline.

    ``key`` is what secrets are kept encrypted with, ``allowed`` are networks that may be sent to though
    they are not of the public internet.
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
        """Return deliveries, the newest first, and the attempts of each."""
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
            ids = [it.id for it in rows]
            return rows, deliveries.attempts_by_delivery(connection, workspace, ids)

    def get(self, workspace: int, id_: UUID) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
        """Return one delivery, and its attempts.  Raises NotFound."""
        with self._store.connection() as connection:
            row = deliveries.get_delivery(connection, workspace, id_)
            if row is None:
                raise NotFound("there is no such delivery in this workspace", id=str(id_))
            return row, deliveries.attempts_by_delivery(connection, workspace, [id_])[id_]

    def replay(self, workspace: int, id_: UUID) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
        """Do a delivery once more, under the same id, beginning now.  Raises NotFound, Conflict."""
        self.get(workspace, id_)
        with self._store.connection() as connection:
            if not deliveries.redeliver(connection, workspace, id_, self._now()):
                raise Conflict(
                    "it is being sent at this moment, or was erased with whom it was about",
                    id=str(id_),
                )
        return self.get(workspace, id_)
