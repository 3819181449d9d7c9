"""Endpoints that webhooks go to: made, changed, given another secret, enabled again."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from application.deliveries.addresses import Guard
from application.deliveries.encryption import Sealer
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints as kept
from application.ledger.tables.endpoints import Endpoint
from application.ledger.tables.leases import Lane
from application.ledger.tables.outbox import COMMANDS
from domain.core.errors import Conflict, InvalidRequest, NotFound

SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)
"""For how long after a rotation the secret before signs as well."""

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class Wanted(NamedTuple):
    """What somebody wants an endpoint to be."""

    url: str
    description: str = ""
    concurrency: int = 4


class Endpoints:
    """Decides about endpoints."""

    def __init__(
        self,
        store: LedgerDatastore,
        guard: Guard,
        sealer: Sealer,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._guard, self._sealer, self._now = store, guard, sealer, now

    def create(self, workspace: int, id_: str | None, wanted: Wanted) -> tuple[Endpoint, str]:
        """Add an endpoint, and return it with its secret, this once.  Raises InvalidRequest, Conflict."""
        id_ = secrets.token_hex(8) if id_ is None else id_
        if not ID.fullmatch(id_) or id_ == COMMANDS:
            raise InvalidRequest(
                f"{id_!r} is no endpoint id; write 1 to 64 of a-z, 0-9, - and _, such as crm"
            )
        self._guard.check(wanted.url)
        secret, sealed = self._secret((workspace, id_))
        url, description, concurrency = wanted
        made = Endpoint(workspace, id_, url, description, concurrency, sealed, self._now())
        with self._store.asking() as connection:
            if not kept.create(connection, made):
                raise Conflict(f"there is an endpoint {id_!r} already", endpoint=id_)
        return made, secret

    def list(self, workspace: int, after: str, limit: int) -> Sequence[Endpoint]:
        """Return a workspace's endpoints, by id."""
        with self._store.asking() as connection:
            return kept.endpoints(connection, workspace, after, limit)

    def get(self, workspace: int, id_: str) -> Endpoint:
        """Return one.  Raises NotFound."""
        with self._store.asking() as connection:
            found = kept.find(connection, [(workspace, id_)]).get((workspace, id_))
        if found is None:
            raise NotFound(f"there is no endpoint {id_!r}", endpoint=id_)
        return found

    def change(self, workspace: int, id_: str, wanted: Wanted) -> Endpoint:
        """Make it what is wanted.  Raises InvalidRequest, NotFound."""
        self._guard.check(wanted.url)
        changed = self.get(workspace, id_)._replace(**wanted._asdict())
        with self._store.asking() as connection:
            kept.change(connection, changed)
        return self.get(workspace, id_)

    def rotate(self, workspace: int, id_: str) -> tuple[Endpoint, str]:
        """Give it another secret, and return that, this once; both sign for a day.  Raises NotFound."""
        self.get(workspace, id_)
        secret, sealed = self._secret((workspace, id_))
        with self._store.asking() as connection:
            kept.rotate(connection, (workspace, id_), sealed, self._now() + OVERLAP)
        return self.get(workspace, id_), secret

    def enable(self, workspace: int, id_: str) -> Endpoint:
        """Send to it again, first of all what has waited meanwhile.  Raises NotFound."""
        self.get(workspace, id_)
        with self._store.asking() as connection:
            kept.enable(connection, (workspace, id_))
        return self.get(workspace, id_)

    def delete(self, workspace: int, id_: str) -> None:
        """Remove it; what waits for it will fail.  Raises NotFound."""
        with self._store.asking() as connection:
            if not kept.delete(connection, (workspace, id_)):
                raise NotFound(f"there is no endpoint {id_!r}", endpoint=id_)

    def _secret(self, lane: Lane) -> tuple[str, bytes]:
        secret = f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return secret, self._sealer.seal(secret, place(lane))


def place(lane: Lane) -> str:
    """Return what an endpoint's secrets are sealed for."""
    workspace, id_ = lane
    return f"{workspace}/{id_}"
