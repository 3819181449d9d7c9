"""Webhook endpoints: their definitions, secrets and health."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from application.definitions.outbound_definitions import OutboundDefinitionService
from application.deliveries.addresses import AddressGuard
from application.deliveries.encryption import SecretCipher
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints as endpoint_table
from application.ledger.tables.endpoints import EndpointRow
from application.ledger.tables.leases import QueueKey
from application.ledger.tables.outbox import COMMAND_QUEUE
from domain.core.errors import InvalidRequest, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.delivery.outbound import Endpoint, EndpointDefined, decode_endpoint
from domain.events.events import DefinitionEvent

SECRET_BYTES = 32
SECRET_OVERLAP = timedelta(hours=24)
"""Time after a rotation during which the previous secret signs as well."""


class EndpointService(OutboundDefinitionService[Endpoint]):
    """Commands and queries about endpoints."""

    kind = Endpoint

    def __init__(
        self,
        store: LedgerDatastore,
        guard: AddressGuard,
        cipher: SecretCipher,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(store, now)
        self._guard, self._cipher = guard, cipher

    def validate(self, _workspace: int, id_: str | None, definition: DefinitionVersion) -> None:
        """Raises InvalidRequest for a reserved id, or a URL that nothing may be sent to."""
        if id_ == COMMAND_QUEUE:
            raise InvalidRequest(f"{id_!r} is reserved; choose another endpoint id", endpoint=id_)
        self._guard.check_url(decode_endpoint(definition.document).url)

    def secret(self, endpoint: EndpointRow) -> str:
        """Returns the signing secret of an endpoint in clear text."""
        return self._cipher.decrypt(
            endpoint.secret, encryption_context((endpoint.workspace, endpoint.id))
        )

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

    def _save_row(
        self, connection: Connection[Any], workspace: int, version: int, event: DefinitionEvent
    ) -> None:
        """Writes the configuration of an endpoint; a new one gets a secret."""
        key = workspace, Endpoint.id_in(event)
        if not isinstance(event, EndpointDefined):
            endpoint_table.delete(connection, key)
            return
        definition = decode_endpoint(event.document)
        if not endpoint_table.update(connection, key, definition, version):
            _, ciphertext = self._new_secret(key)
            endpoint_table.insert(
                connection,
                key,
                definition,
                version,
                secret=ciphertext,
                now=event.occurred_at,
            )

    def _new_secret(self, key: QueueKey) -> tuple[str, bytes]:
        secret = f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return secret, self._cipher.encrypt(secret, encryption_context(key))


def encryption_context(key: QueueKey) -> str:
    """Returns the encryption context of an endpoint's secrets: it binds them to the endpoint."""
    workspace, id_ = key
    return f"{workspace}/{id_}"


def _not_found(id_: str) -> NotFound:
    return NotFound(f"endpoint {id_!r} does not exist", endpoint=id_)
