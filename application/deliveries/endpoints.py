"""Webhook endpoints: create, update, rotate secrets, enable and delete."""

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
from application.ledger.tables import endpoints as endpoint_table
from application.ledger.tables.endpoints import EndpointRow
from application.ledger.tables.leases import QueueKey
from application.ledger.tables.outbox import COMMAND_QUEUE
from domain.core.errors import Conflict, InvalidRequest, NotFound

SECRET_BYTES = 32
SECRET_OVERLAP = timedelta(hours=24)
"""Time after a rotation during which the previous secret signs as well."""

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class EndpointDefinition(NamedTuple):
    """The part of an endpoint that its owner configures."""

    url: str
    description: str = ""
    concurrency: int = 4
    """Maximum number of concurrent requests."""


class EndpointService:
    """Commands and queries about endpoints."""

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
        """Creates an endpoint; returns it with its secret, which is not shown again.

        Without ``id_`` a random one is used.  Raises InvalidRequest, Conflict.
        """
        id_ = secrets.token_hex(8) if id_ is None else id_
        if not ID_PATTERN.fullmatch(id_) or id_ == COMMAND_QUEUE:
            raise InvalidRequest(
                f"{id_!r} is not an endpoint id; use 1 to 64 of a-z, 0-9, - and _, such as crm"
            )
        self._guard.check_url(definition.url)
        secret, ciphertext = self._new_secret((workspace, id_))
        url, description, concurrency = definition
        endpoint = EndpointRow(
            workspace, id_, url, description, concurrency, ciphertext, self._now()
        )
        with self._store.connection() as connection:
            if not endpoint_table.insert(connection, endpoint):
                raise Conflict(f"endpoint {id_!r} already exists; choose another id", endpoint=id_)
        return endpoint, secret

    def list(self, workspace: int, after: str, limit: int) -> Sequence[EndpointRow]:
        """Returns endpoints by id; ``after`` is the last id of the page before."""
        with self._store.connection() as connection:
            return endpoint_table.list_endpoints(connection, workspace, after, limit)

    def get(self, workspace: int, id_: str) -> EndpointRow:
        """Returns an endpoint.  Raises NotFound."""
        with self._store.connection() as connection:
            row = endpoint_table.find_many(connection, [(workspace, id_)]).get((workspace, id_))
        if row is None:
            raise _not_found(id_)
        return row

    def update(self, workspace: int, id_: str, definition: EndpointDefinition) -> EndpointRow:
        """Replaces URL, description and concurrency.  Raises InvalidRequest, NotFound."""
        self._guard.check_url(definition.url)
        changed = self.get(workspace, id_)._replace(**definition._asdict())
        with self._store.connection() as connection:
            endpoint_table.update(connection, changed)
        return self.get(workspace, id_)

    def rotate_secret(self, workspace: int, id_: str) -> tuple[EndpointRow, str]:
        """Generates a new secret and returns it; it is not shown again.

        The previous secret signs as well for `SECRET_OVERLAP`.  Raises NotFound.
        """
        self.get(workspace, id_)
        secret, ciphertext = self._new_secret((workspace, id_))
        with self._store.connection() as connection:
            endpoint_table.rotate_secret(
                connection, (workspace, id_), ciphertext, self._now() + SECRET_OVERLAP
            )
        return self.get(workspace, id_), secret

    def enable(self, workspace: int, id_: str) -> EndpointRow:
        """Enables a disabled or parked endpoint; waiting deliveries are sent first.

        Raises NotFound.
        """
        self.get(workspace, id_)
        with self._store.connection() as connection:
            endpoint_table.enable(connection, (workspace, id_))
        return self.get(workspace, id_)

    def delete(self, workspace: int, id_: str) -> None:
        """Deletes an endpoint; deliveries that wait for it will fail.  Raises NotFound."""
        with self._store.connection() as connection:
            if not endpoint_table.delete(connection, (workspace, id_)):
                raise _not_found(id_)

    def _new_secret(self, key: QueueKey) -> tuple[str, bytes]:
        secret = f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return secret, self._cipher.encrypt(secret, encryption_context(key))


def encryption_context(key: QueueKey) -> str:
    """Returns the encryption context of an endpoint's secrets: it binds them to the endpoint."""
    workspace, id_ = key
    return f"{workspace}/{id_}"


def _not_found(id_: str) -> NotFound:
    return NotFound(f"endpoint {id_!r} does not exist", endpoint=id_)
