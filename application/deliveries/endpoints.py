"""Endpoints that webhooks go to: made, changed, given another secret, enabled again."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from application.deliveries.addresses import AddressGuard
from application.deliveries.encryption import SecretCipher
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints as kept
from application.ledger.tables.endpoints import EndpointRow
from application.ledger.tables.leases import QueueKey
from application.ledger.tables.outbox import COMMAND_QUEUE
from domain.core.errors import Conflict, InvalidRequest, NotFound

SECRET_BYTES = 32
SECRET_OVERLAP = timedelta(hours=24)
"""For how long after a rotation the secret before signs as well."""

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class EndpointDefinition(NamedTuple):
    """What somebody wants an endpoint to be."""

    url: str
    description: str = ""
    concurrency: int = 4


class EndpointService:
    """Decides about endpoints."""

    def __init__(
        self,
        store: LedgerDatastore,
        guard: AddressGuard,
        cipher: SecretCipher,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._guard, self._cipher, self._now = store, guard, cipher, now

    def create(
        self, workspace: int, id_: str | None, definition: EndpointDefinition
    ) -> tuple[EndpointRow, str]:
        """Add an endpoint, and return it with its secret, this once.  Raises InvalidRequest, Conflict."""
        id_ = secrets.token_hex(8) if id_ is None else id_
        if not ID_PATTERN.fullmatch(id_) or id_ == COMMAND_QUEUE:
            raise InvalidRequest(
                f"{id_!r} is no endpoint id; write 1 to 64 of a-z, 0-9, - and _, such as crm"
            )
        self._guard.check_url(definition.url)
        secret, ciphertext = self._new_secret((workspace, id_))
        url, description, concurrency = definition
        endpoint = EndpointRow(
            workspace, id_, url, description, concurrency, ciphertext, self._now()
        )
        with self._store.connection() as connection:
            if not kept.insert(connection, endpoint):
                raise Conflict(f"there is an endpoint {id_!r} already", endpoint=id_)
        return endpoint, secret

    def list(self, workspace: int, after: str, limit: int) -> Sequence[EndpointRow]:
        """Return a workspace's endpoints, by id."""
        with self._store.connection() as connection:
            return kept.list_endpoints(connection, workspace, after, limit)

    def get(self, workspace: int, id_: str) -> EndpointRow:
        """Return one.  Raises NotFound."""
        with self._store.connection() as connection:
            found = kept.find_many(connection, [(workspace, id_)]).get((workspace, id_))
        if found is None:
            raise NotFound(f"there is no endpoint {id_!r}", endpoint=id_)
        return found

    def update(self, workspace: int, id_: str, definition: EndpointDefinition) -> EndpointRow:
        """Make it what is wanted.  Raises InvalidRequest, NotFound."""
        self._guard.check_url(definition.url)
        changed = self.get(workspace, id_)._replace(**definition._asdict())
        with self._store.connection() as connection:
            kept.update(connection, changed)
        return self.get(workspace, id_)

    def rotate_secret(self, workspace: int, id_: str) -> tuple[EndpointRow, str]:
        """Give it another secret, and return that, this once; both sign for a day.  Raises NotFound."""
        self.get(workspace, id_)
        secret, sealed = self._new_secret((workspace, id_))
        with self._store.connection() as connection:
            kept.rotate_secret(connection, (workspace, id_), sealed, self._now() + SECRET_OVERLAP)
        return self.get(workspace, id_), secret

    def enable(self, workspace: int, id_: str) -> EndpointRow:
        """Send to it again, first of all what has waited meanwhile.  Raises NotFound."""
        self.get(workspace, id_)
        with self._store.connection() as connection:
            kept.enable(connection, (workspace, id_))
        return self.get(workspace, id_)

    def delete(self, workspace: int, id_: str) -> None:
        """Remove it; what waits for it will fail.  Raises NotFound."""
        with self._store.connection() as connection:
            if not kept.delete(connection, (workspace, id_)):
                raise NotFound(f"there is no endpoint {id_!r}", endpoint=id_)

    def _new_secret(self, key: QueueKey) -> tuple[str, bytes]:
        secret = f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return secret, self._cipher.encrypt(secret, encryption_context(key))


def encryption_context(key: QueueKey) -> str:
    """Return what an endpoint's secrets are sealed for."""
    workspace, id_ = key
    return f"{workspace}/{id_}"
