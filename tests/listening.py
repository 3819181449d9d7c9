"""A program that runs while it is needed, once it listens at its ports."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20


@contextmanager
def listening(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: str, *ports: int
) -> Iterator[None]:
    """Runs a command in a folder; what it prints goes to the file ``log`` there."""
    output = folder / log
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=file, stderr=file
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not all(map(_listens, ports)):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < until, output.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
