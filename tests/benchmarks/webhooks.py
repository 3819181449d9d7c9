"""Where webhooks go in benchmarks: a receiver in a process of its own, and endpoints there."""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from subprocess import PIPE, Popen

import msgspec

from application.deliveries.addresses import AddressGuard, parse_networks
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoints import EndpointDefinition, EndpointService
from application.ledger.store import LedgerDatastore
from tests.benchmarks.database import Database
from tests.benchmarks.process import running

_SECRET, _ALLOW = bytes(32), "127.0.0.0/8"
SETTINGS: Mapping[str, str] = {
    "FOLDLINE_SECRET_KEY": b64encode(_SECRET).decode(),
    "FOLDLINE_WEBHOOK_ALLOW": _ALLOW,
    "FOLDLINE_LOG_LEVEL": "error",
}
"""What a worker must be told to send to this machine."""


class Receiver:
    """The process, and its ports: one that answers, and one that never does."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._says, self._hears = process.stdout, process.stdin
        self.answers, self.never_answers = (int(it) for it in self._says.readline().split())

    def came(self) -> dict[str, float]:
        """Return when each delivery came first, by its ``webhook-id``: seconds since 1970.  Asked for once."""
        print(file=self._hears, flush=True)
        return msgspec.json.decode(self._says.readline(), type=dict[str, float])


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive while inside."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver"]
    with running(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield Receiver(process)


def endpoints(database: Database, port: int, names: Sequence[str]) -> None:
    """Make endpoints of these names at a port of this machine."""
    store = LedgerDatastore(database.dsn)
    try:
        made = EndpointService(store, AddressGuard(parse_networks(_ALLOW)), SecretCipher(_SECRET))
        for name in names:
            made.create(
                database.workspace, name, EndpointDefinition(f"http://127.0.0.1:{port}/{name}")
            )
    finally:
        store.close()


def delivered(database: Database, names: Sequence[str], number: int) -> None:
    """Wait until so many deliveries have come to these endpoints."""
    count = "SELECT count(*) FROM ledger.delivery WHERE lane = ANY (%s) AND state = 'delivered'"
    until = time.monotonic() + 60
    while (found := database.sql(count, list(names))[0][0]) < number:
        assert time.monotonic() < until, f"{found} of {number} came to their end"
        time.sleep(0.1)  # so seldom that looking takes nothing from what is measured
