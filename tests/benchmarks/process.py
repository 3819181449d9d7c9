"""Processes that a benchmark starts and always ends, by their id."""

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
    """Runs a program and ends it, with its children, on exit."""
    process = subprocess.Popen(command, cwd=ROOT, **more)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[Any], seconds: float = 30) -> None:
    """Terminates the program, and kills it and its children if it does not stop in time."""
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
    """A module run as a process: reads a task, prints ready, waits for go, prints a result."""

    def __init__(self, module: str, task: Any, result: type[Result]) -> None:
        self._result = result
        pipe = subprocess.PIPE
        self._context = running([sys.executable, "-m", module], stdin=pipe, stdout=pipe)
        self._process = self._context.__enter__()
        try:
            self._write(msgspec.json.encode(task))
            assert self._read() == b"ready\n", f"{module} did not start"
        except BaseException:
            self._context.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def go(self) -> Result:
        """Starts the work and returns its result."""
        self._write(b"go")
        line = self._read()
        assert line, "the process ended without a result; its error is above"
        return msgspec.json.decode(line, type=self._result)

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def free_port() -> int:
    """Returns a port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def clean_environment(**settings: str) -> dict[str, str]:
    """Returns the environment without other settings of Foldline, and with these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("FOLDLINE_")}
    return others | settings
