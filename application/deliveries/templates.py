"""Renders templates in a process of their own, which is killed when one takes too long or too much."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from time import monotonic
from typing import IO, Any

import msgspec

from domain.core.errors import FoldlineError

LONGEST = 10_240
"""Bytes of the templates of one action."""

SECONDS = 0.5
"""How long they may take together."""

START_SECONDS = 20.0
"""How long the process may take to start; it is not counted against a template."""

MOST_KILLS = 3
"""After so many the same template is refused until the service is started anew: each costs its time again."""


class Job(msgspec.Struct, array_like=True):
    """Templates to render over one context."""

    context: bytes
    """JSON: an object.  Empty: nothing is filled in, it is only seen whether the document's templates can be."""

    texts: dict[str, str]
    """Templates that give a text, each with a name."""

    document: bytes = b""
    """JSON in which any text may be a template; one that is a single ``{{ … }}`` gives its value, type and all."""


class Answer(msgspec.Struct, array_like=True):
    """What became of a job."""

    texts: dict[str, str] = {}
    document: bytes = b""
    error: str | None = None


class TemplateFailed(FoldlineError):
    """A template, or what it is to be filled with, is wrong: it would fail again."""

    code = "template_failed"


class TemplateTooSlow(TemplateFailed):
    """A template took too long; on a machine less busy it may not."""

    code = "template_too_slow"


class Templates:
    """Renders for any thread, one job at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._kills: Counter[bytes] = Counter()

    def render(
        self, texts: Mapping[str, str], document: bytes, context: bytes
    ) -> tuple[Mapping[str, str], bytes]:
        """Return texts and a JSON document with their templates filled.

        Raises TemplateFailed, TemplateTooSlow.
        """
        if not (is_template(document) or any(is_template(it.encode()) for it in texts.values())):
            return texts, document
        whole = document + "\0".join(texts.values()).encode("utf-8", "surrogatepass")
        _check_length(whole)
        name = blake2b(whole, digest_size=16).digest()
        with self._lock:
            if self._kills[name] >= MOST_KILLS:
                raise TemplateFailed(f"it took too long {MOST_KILLS} times; make it do less")
            answer = self._ask(Job(context, dict(texts), document))
            if answer is None:
                self._kills[name] += 1
                raise TemplateTooSlow(f"it takes longer than {self._seconds:g} seconds")
        if answer.error is not None:
            raise TemplateFailed(answer.error)
        return answer.texts, answer.document

    def check(self, document: bytes) -> None:
        """Raise TemplateFailed unless all texts of a JSON document can be templates."""
        if is_template(document):
            _check_length(document)
            with self._lock:
                answer = self._ask(Job(b"", {}, document))
            if answer is None:
                raise TemplateTooSlow(f"it takes longer than {self._seconds:g} seconds to read")
            if answer.error is not None:
                raise TemplateFailed(answer.error)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _ask(self, job: Job) -> Answer | None:
        """Return the answer; None if it did not come in time, and the process is dead."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        asked = msgspec.msgpack.encode(job)
        until = monotonic() + self._seconds
        try:
            process.stdin.write(len(asked).to_bytes(4) + asked)
            process.stdin.flush()
            size = _read(process.stdout, 4, until)
            return msgspec.msgpack.decode(
                _read(process.stdout, int.from_bytes(size), until), type=Answer
            )
        except (TimeoutError, OSError, EOFError):
            self._kill()
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        self._kill()
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "application.deliveries.renderer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={},
        )
        self._process = process
        first = msgspec.msgpack.encode(Job(b"{}", {}))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(first).to_bytes(4) + first)
        size = _read(process.stdout, 4, monotonic() + START_SECONDS)
        _read(process.stdout, int.from_bytes(size), monotonic() + START_SECONDS)
        return process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:
                process.wait()


def is_template(text: bytes) -> bool:
    """Say whether a text has anything to fill in."""
    return b"{{" in text or b"{%" in text


def _check_length(templates: bytes) -> None:
    if len(templates) > LONGEST:
        raise TemplateFailed(f"templates have at most {LONGEST:,} bytes together")


def _read(stream: IO[Any], size: int, until: float) -> bytes:
    held = b""
    while len(held) < size:
        ready, _, _ = select.select([stream], [], [], max(0.0, until - monotonic()))
        if not ready:
            raise TimeoutError
        part = stream.read(size - len(held))
        if not part:
            raise EOFError
        held += part
    return held
