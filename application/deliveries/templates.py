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

MAX_TEMPLATE_BYTES = 10_240
"""Bytes of the templates of one action."""

RENDER_TIMEOUT_SECONDS = 0.5
"""How long they may take together."""

START_TIMEOUT_SECONDS = 20.0
"""How long the process may take to start; it is not counted against a template."""

MAX_KILLS = 3
"""After so many the same template is refused until the service is started anew: each costs its time again."""


class RenderJob(msgspec.Struct, array_like=True):
    """Templates to render over one context."""

    context: bytes
    """JSON: an object.  Empty: nothing is filled in, it is only seen whether the document's templates can be."""

    texts: dict[str, str]
    """Templates that give a text, each with a name."""

    document: bytes = b""
    """JSON in which any text may be a template; one that is a single ``{{ … }}`` gives its value, type and all."""


class RenderResult(msgspec.Struct, array_like=True):
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


class TemplateRenderer:
    """Renders for any thread, one job at a time."""

    def __init__(self, timeout_seconds: float = RENDER_TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._kills: Counter[bytes] = Counter()

    def render(
        self, texts: Mapping[str, str], document: bytes, context: bytes
    ) -> tuple[Mapping[str, str], bytes]:
        """Return texts and a JSON document with their templates filled.

        Raises TemplateFailed, TemplateTooSlow.
        """
        if not (
            has_placeholders(document)
            or any(has_placeholders(it.encode()) for it in texts.values())
        ):
            return texts, document
        whole = document + "\0".join(texts.values()).encode("utf-8", "surrogatepass")
        _check_length(whole)
        name = blake2b(whole, digest_size=16).digest()
        with self._lock:
            if self._kills[name] >= MAX_KILLS:
                raise TemplateFailed(f"it took too long {MAX_KILLS} times; make it do less")
            answer = self._run_job(RenderJob(context, dict(texts), document))
            if answer is None:
                self._kills[name] += 1
                raise TemplateTooSlow(f"it takes longer than {self._timeout_seconds:g} seconds")
        if answer.error is not None:
            raise TemplateFailed(answer.error)
        return answer.texts, answer.document

    def validate(self, document: bytes) -> None:
        """Raise TemplateFailed unless all texts of a JSON document can be templates."""
        if has_placeholders(document):
            _check_length(document)
            with self._lock:
                answer = self._run_job(RenderJob(b"", {}, document))
            if answer is None:
                raise TemplateTooSlow(
                    f"it takes longer than {self._timeout_seconds:g} seconds to read"
                )
            if answer.error is not None:
                raise TemplateFailed(answer.error)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _run_job(self, job: RenderJob) -> RenderResult | None:
        """Return the answer; None if it did not come in time, and the process is dead."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = self._start_process()
        assert process.stdin is not None
        assert process.stdout is not None
        message = msgspec.msgpack.encode(job)
        deadline = monotonic() + self._timeout_seconds
        try:
            process.stdin.write(len(message).to_bytes(4) + message)
            process.stdin.flush()
            size = _read_exactly(process.stdout, 4, deadline)
            return msgspec.msgpack.decode(
                _read_exactly(process.stdout, int.from_bytes(size), deadline), type=RenderResult
            )
        except (TimeoutError, OSError, EOFError):
            self._kill()
            return None

    def _start_process(self) -> subprocess.Popen[bytes]:
        self._kill()
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "application.deliveries.template_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={},
        )
        self._process = process
        first = msgspec.msgpack.encode(RenderJob(b"{}", {}))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(first).to_bytes(4) + first)
        size = _read_exactly(process.stdout, 4, monotonic() + START_TIMEOUT_SECONDS)
        _read_exactly(process.stdout, int.from_bytes(size), monotonic() + START_TIMEOUT_SECONDS)
        return process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:
                process.wait()


def has_placeholders(text: bytes) -> bool:
    """Say whether a text has anything to fill in."""
    return b"{{" in text or b"{%" in text


def _check_length(templates: bytes) -> None:
    if len(templates) > MAX_TEMPLATE_BYTES:
        raise TemplateFailed(f"templates have at most {MAX_TEMPLATE_BYTES:,} bytes together")


def _read_exactly(stream: IO[Any], size: int, deadline: float) -> bytes:
    received = b""
    while len(received) < size:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - monotonic()))
        if not ready:
            raise TimeoutError
        part = stream.read(size - len(received))
        if not part:
            raise EOFError
        received += part
    return received
