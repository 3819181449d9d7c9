"""Processes that a benchmark starts, and ends by their id whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import msgspec

from tests import processes

ROOT = Path(__file__).parents[2]

Result = TypeVar("Result")


@contextmanager
def running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program while inside; afterwards it and what it started are gone."""
    process = subprocess.Popen(command, cwd=ROOT, **more)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[Any], seconds: float = 30) -> None:
    """Ask the program to stop, and make it stop with its children if it does not."""
    if process.poll() is None:
        family = processes.family(process.pid)
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            processes.kill(family)
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


class Worker(Generic[Result]):
    """A module that reads its task from a line, says that it is ready, works on ``go`` and prints a result."""

    def __init__(self, module: str, task: Any, result: type[Result]) -> None:
        self._result = result
        pipe = subprocess.PIPE
        self._context = running([sys.executable, "-m", module], stdin=pipe, stdout=pipe)
        self._process = self._context.__enter__()
        try:
            self._say(msgspec.json.encode(task))
            assert self._heard() == b"ready\n", f"{module} did not start"
        except BaseException:
            self._context.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def go(self) -> Result:
        """Let it work and return what it found."""
        self._say(b"go")
        line = self._heard()
        assert line, "the process ended without a result; its error is above"
        return msgspec.json.decode(line, type=self._result)

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _heard(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def clean_environment(**settings: str) -> dict[str, str]:
    """Return the environment without anybody's own settings of Foldline, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOLDLINE_")}
    return kept | settings
