"""Webhooks of benchmarks: a receiver in a process of its own, and endpoints for it."""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from subprocess import PIPE, Popen

import msgspec

from application.definitions.store import CommandContext
from application.deliveries.addresses import AddressGuard
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoints import EndpointService
from application.deliveries.networks import parse_networks
from application.ledger.store import LedgerDatastore
from domain.delivery.outbound import EndpointDefinition, outbound_version
from tests.benchmarks.database import Database
from tests.benchmarks.process import running

_SECRET, _ALLOW = bytes(32), "127.0.0.0/8"
SETTINGS: Mapping[str, str] = {
    "FOLDLINE_SECRET_KEY": b64encode(_SECRET).decode(),
    "FOLDLINE_WEBHOOK_ALLOW": _ALLOW,
    "FOLDLINE_LOG_LEVEL": "error",
}
"""Settings of a worker that sends to this machine."""


class Receiver:
    """The receiver process and its ports: one that answers, and one that never does."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._output, self._input = process.stdout, process.stdin
        self.answers, self.never_answers = (int(port) for port in self._output.readline().split())

    def arrivals(self) -> dict[str, float]:
        """Ends the receiver; returns the first arrival of each ``webhook-id``, in Unix seconds."""
        print(file=self._input, flush=True)
        return msgspec.json.decode(self._output.readline(), type=dict[str, float])


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Runs a receiver until exit."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver"]
    with running(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield Receiver(process)


def create_endpoints(database: Database, port: int, names: Sequence[str]) -> None:
    """Creates endpoints of these names at a port of this machine."""
    store = LedgerDatastore(database.dsn)
    try:
        service = EndpointService(
            store, AddressGuard(parse_networks(_ALLOW)), SecretCipher(_SECRET)
        )
        for name in names:
            definition = outbound_version(EndpointDefinition(f"http://127.0.0.1:{port}/{name}"))
            service.create(database.workspace, name, definition, CommandContext("bench"))
    finally:
        store.close()


def wait_until_delivered(database: Database, names: Sequence[str], number: int) -> None:
    """Waits until so many deliveries to these endpoints have succeeded."""
    query = "SELECT count(*) FROM ledger.delivery WHERE lane = ANY (%s) AND state = 'delivered'"
    until = time.monotonic() + 60
    while (count := database.sql(query, list(names))[0][0]) < number:
        assert time.monotonic() < until, f"{count} of {number} were delivered"
        time.sleep(0.1)  # rare enough not to influence the measurement
