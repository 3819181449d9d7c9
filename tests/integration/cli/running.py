"""The real command, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[3]
PATIENCE = 90


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "interfaces.cli.main", *arguments]


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **settings}


class Serving:
    """A `foldline` process that serves, and what it has said so far."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self._too_late = threading.Timer(PATIENCE, self.process.kill)
        self._too_late.start()

    def wait_for(self, words: str) -> str:
        """Return the first line with the words in it."""
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return line
        raise AssertionError(f"it ended before saying {words!r}: {self.said}")

    def url(self) -> str:
        return self.wait_for("Foldline is ready at ").split()[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        self.said += self.process.stdout.read()
        return self.process.wait(PATIENCE)

    def key(self, kind: str) -> str:
        """The text of a key that was printed."""
        return next(it for it in self.said.split() if it.startswith(f"cdp_live_{kind}_")).strip(":")

    def close(self) -> None:
        self._too_late.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@contextmanager
def client(url: str, key: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as http:
        yield http


def status(url: str, key: str) -> dict[str, Any]:
    with client(url, key) as http:
        return http.get("/v1/status").raise_for_status().json()
