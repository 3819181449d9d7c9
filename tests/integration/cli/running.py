"""Runs the real command in a separate process."""

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
    """A running `foldline` process and its output so far."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._timeout = threading.Timer(PATIENCE, self.process.kill)
        self._timeout.start()

    def wait_for(self, words: str) -> str:
        """Return the first line that contains the words."""
        for line in self.process.stdout:
            self.output += line
            if words in line:
                return line
        raise AssertionError(f"the process ended before printing {words!r}: {self.output}")

    def url(self) -> str:
        return self.wait_for("Foldline is ready at ").split()[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        self.output += self.process.stdout.read()
        return self.process.wait(PATIENCE)

    def key(self, kind: str) -> str:
        """Return the text of a key in the output."""
        return next(
            word for word in self.output.split() if word.startswith(f"cdp_live_{kind}_")
        ).strip(":")

    def close(self) -> None:
        self._timeout.cancel()
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
