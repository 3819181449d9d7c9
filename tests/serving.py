"""`foldline serve` in its own process: start it, send requests, stop it and kill it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

from tests import processes

FOLDLINE = (sys.executable, "-m", "interfaces.cli.main")
ROOT = Path(__file__).parents[1]
START_SECONDS = 30.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """An HTTP client on one connection that sends exactly the given bytes."""

    def __init__(self, port: int, *, timeout: float = 15.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends one request.  Raises OSError or HTTPException if its outcome is unknown.

        An iterable body is sent in chunks, without a Content-Length.
        """
        try:
            self._connection.request(method, target, body, dict(headers or {}))
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, content)

    def close(self) -> None:
        self._connection.close()


def basic(key: str) -> dict[str, str]:
    """Returns the header in which most SDKs send their write key."""
    return {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Server:
    """`foldline serve` on a free port that stays the same from one start to the next."""

    folder: Path
    """Folder of its log file."""

    environment: dict[str, str]
    """FOLDLINE_DSN or FOLDLINE_HOME, and other settings."""

    command: tuple[str, ...] = FOLDLINE
    subcommand: str = "serve"
    """Or `demo`, which serves as well."""

    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    started_in: list[float] = field(default_factory=list)
    """Seconds from each start to ready."""

    @classmethod
    def on(cls, folder: Path, dsn: str, **more: Any) -> Self:
        return cls(folder, {"FOLDLINE_DSN": dsn} | more.pop("environment", {}), **more)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> float:
        """Starts it and waits until it is ready; returns the seconds that it took."""
        self.launch()
        return self.wait_ready()

    def launch(self) -> None:
        """Starts it, and returns while it is still starting."""
        assert self.process is None, "it is already running"
        self.port = self.port or free_port()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FOLDLINE_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, self.subcommand, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=inherited | {"PYTHONUNBUFFERED": "1"} | self.environment,
                start_new_session=True,  # so that all its processes can be killed together
            )
        self._launched = time.monotonic()

    def wait_ready(self, within: float = START_SECONDS) -> float:
        while not self.is_ready():
            process = self.process
            assert process is not None
            assert process.poll() is None, (
                f"the server exited with {process.poll()}:\n{self.output()}"
            )
            if time.monotonic() - self._launched > within:
                self.kill()
                raise TimeoutError(f"not ready after {within:.0f} s:\n{self.output()}")
            time.sleep(0.02)
        self.started_in.append(time.monotonic() - self._launched)
        return self.started_in[-1]

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/healthz/ready", timeout=5.0).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> int:
        """Terminates it as a service manager does; returns its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def kill(self) -> None:
        """Kills it and all its processes."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def memory(self) -> int:
        """Returns the resident memory of it and its children in bytes, without an embedded database."""
        assert self.process is not None
        resident = 0
        for process in processes.family(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                resident += process.memory_info().rss if process.name() != "postgres" else 0
        return resident

    def client(self, *, timeout: float = 15.0) -> Client:
        return Client(self.port, timeout=timeout)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 15.0,
    ) -> Answer:
        """Sends one request on a new connection."""
        client = self.client(timeout=timeout)
        try:
            return client.send(method, target, body, headers)
        finally:
            client.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    def output(self) -> str:
        """Returns what it has logged so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, within: float, description: str) -> float:
    """Waits until a condition holds; returns the seconds that it took.  Raises TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > within:
            raise TimeoutError(f"not within {within:g} s: {description}")
        time.sleep(0.01)
    return time.monotonic() - started
