"""HTTP server: binds the socket, runs uvicorn, announces readiness and stops cleanly."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import typer
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from domain.core.errors import FoldlineError
from interfaces.bootstrap import tune_garbage_collector
from interfaces.cli.worker_threads import run_worker_threads
from interfaces.http.app import create_app
from interfaces.http.ingest import Ingest
from interfaces.http.request_head import BoundedHeadProtocol
from interfaces.service import Service
from interfaces.settings import SETTINGS, Settings

BACKLOG = 2048
"""Length of the queue of connections that are not accepted yet."""

READY_SECONDS = 60.0
"""Time for a server process to start; if one takes longer, readiness is not announced."""

SWITCH_INTERVAL_SECONDS = 0.001
"""Longest time that the event loop holds the GIL while a ledger writer waits for it.  Python's default of 5 ms,
times the several GIL switches of a flush, would be most of the time that a request waits for its commit."""

_UVICORN_OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "http": BoundedHeadProtocol,
    "ws": "none",
    "log_config": None,  # logging is configured already
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": 75,  # load balancers keep idle connections for 60 s, usually
    "timeout_graceful_shutdown": 10,
    "backlog": BACKLOG,
}


class CannotListen(FoldlineError):
    """The address to listen on cannot be bound."""

    code = "cannot_listen"


class ServerFailed(FoldlineError):
    """A server process failed to start."""

    code = "server_failed"


@contextmanager
def bind_socket(host: str, port: int, *, or_any: bool = False) -> Iterator[socket.socket]:
    """Yield a socket bound to the address, not yet listening; port 0 selects a free port.

    With ``or_any``, a port in use is replaced by a free one; otherwise raises CannotListen.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    with listener:
        # A restart must not wait until the kernel drops the previous process's connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            try:
                listener.bind(address)
            except OSError:
                if not or_any:
                    raise
                listener.bind((address[0], 0, *address[2:]))
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        yield listener


def listener_url(listener: socket.socket) -> str:
    """Return the URL at which this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaces the wildcard, does not bind it
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(svc: Service, listener: socket.socket, *, worker: bool) -> None:
    """Serve until stopped, optionally with the worker threads in the same process."""
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(BACKLOG)
    except OSError as error:  # another process has bound the same address meanwhile
        raise _cannot_listen(host, port, error) from error
    with run_worker_threads(svc) if worker else nullcontext():
        if svc.settings.workers == 1:
            _run_in_process(svc, listener)
        else:
            _run_in_processes(svc.settings, listener)


def announce_ready(listener: socket.socket) -> None:
    """Print the URL on one line, which scripts can wait for."""
    typer.echo(f"Foldline is ready at {listener_url(listener)}")


def tune_interpreter() -> None:
    """Set the switch interval and garbage collector of a server process, after all imports."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    tune_garbage_collector()


class _AnnouncingServer(uvicorn.Server):
    """Uvicorn server that calls back once it accepts requests."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


class _AnnouncingSupervisor(Multiprocess):
    """Uvicorn supervisor that calls back once every server process accepts requests."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], started: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._on_started = started

    def init_processes(self) -> None:
        super().init_processes()
        if all(
            process.wait_until_ready(READY_SECONDS, self.should_exit) for process in self.processes
        ):
            self._on_started()


def _run_in_process(svc: Service, listener: socket.socket) -> None:
    config = uvicorn.Config(create_app(svc, Ingest(svc)), lifespan="off", **_UVICORN_OPTIONS)
    config.load()
    tune_interpreter()
    _AnnouncingServer(config, lambda: announce_ready(listener)).run(sockets=[listener])


def _run_in_processes(settings: Settings, listener: socket.socket) -> None:
    for setting in SETTINGS:  # server processes read their settings from the environment
        os.environ[setting.env] = str(getattr(settings, setting.field))
    config = uvicorn.Config(
        "interfaces.cli.server_process:app",
        factory=True,
        lifespan="on",
        workers=settings.workers,
        **_UVICORN_OPTIONS,
    )
    supervisor = _AnnouncingSupervisor(config, [listener], lambda: announce_ready(listener))
    tune_garbage_collector()
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise ServerFailed("a server process failed to start; see its log lines above")


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    return CannotListen(
        f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --host and --port;"
        " --port 0 selects a free port"
    )
