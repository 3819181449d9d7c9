"""Renders templates in a child process, which is killed if one takes too long."""

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
"""Maximum size of all templates of one action, in bytes."""

RENDER_TIMEOUT_SECONDS = 0.5
"""Time limit to render all templates of one action."""

START_TIMEOUT_SECONDS = 20.0
"""Time limit for the start of the process; not counted against a template."""

MAX_KILLS = 3
"""Timeouts after which a template is refused until the service restarts.

Each further one would cost its time again.
"""


class RenderJob(msgspec.Struct, array_like=True):
    """Templates to render with one context."""

    context: bytes
    """JSON object.  Empty: the document's templates are only validated."""

    texts: dict[str, str]
    """Templates that render to a string, by name."""

    document: bytes = b""
    """JSON in which any string may be a template.

    A string that is a single ``{{ … }}`` renders to its value, with its type.
    """


class RenderResult(msgspec.Struct, array_like=True):
    """The rendered templates, or the error."""

    texts: dict[str, str] = {}
    document: bytes = b""
    error: str | None = None


class TemplateFailed(FoldlineError):
    """A template or its data is not valid: it would fail again."""

    code = "template_failed"


class TemplateTooSlow(TemplateFailed):
    """A template took too long; on a less busy machine it may not."""

    code = "template_too_slow"


class TemplateRenderer:
    """Renders templates for any thread, one job at a time."""

    def __init__(self, timeout_seconds: float = RENDER_TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._kills: Counter[bytes] = Counter()

    def render(
        self, texts: Mapping[str, str], document: bytes, context: bytes
    ) -> tuple[Mapping[str, str], bytes]:
        """Renders named strings and a JSON document.

        Raises TemplateFailed, TemplateTooSlow.
        """
        if not (
            has_placeholders(document)
            or any(has_placeholders(text.encode()) for text in texts.values())
        ):
            return texts, document
        templates = document + "\0".join(texts.values()).encode("utf-8", "surrogatepass")
        _check_length(templates)
        digest = blake2b(templates, digest_size=16).digest()
        with self._lock:
            if self._kills[digest] >= MAX_KILLS:
                raise TemplateFailed(f"the template took too long {MAX_KILLS} times; simplify it")
            result = self._run_job(RenderJob(context, dict(texts), document))
            if result is None:
                self._kills[digest] += 1
                raise TemplateTooSlow(
                    f"the template takes longer than {self._timeout_seconds:g} seconds"
                )
        if result.error is not None:
            raise TemplateFailed(result.error)
        return result.texts, result.document

    def validate(self, document: bytes) -> None:
        """Raises TemplateFailed unless every string of a JSON document is a valid template."""
        if has_placeholders(document):
            _check_length(document)
            with self._lock:
                result = self._run_job(RenderJob(b"", {}, document))
            if result is None:
                raise TemplateTooSlow(
                    f"the template takes longer than {self._timeout_seconds:g} seconds to parse"
                )
            if result.error is not None:
                raise TemplateFailed(result.error)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._kill()

    def _run_job(self, job: RenderJob) -> RenderResult | None:
        """Returns the result; None if the process ended or was killed because it took too long."""
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
        empty_job = msgspec.msgpack.encode(RenderJob(b"{}", {}))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(empty_job).to_bytes(4) + empty_job)
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
    """Returns whether a text contains template syntax."""
    return b"{{" in text or b"{%" in text


def _check_length(templates: bytes) -> None:
    if len(templates) > MAX_TEMPLATE_BYTES:
        raise TemplateFailed(
            f"the templates of one action have at most {MAX_TEMPLATE_BYTES:,} bytes together"
        )


def _read_exactly(stream: IO[Any], size: int, deadline: float) -> bytes:
    received = b""
    while len(received) < size:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - monotonic()))
        if not ready:
            raise TimeoutError
        chunk = stream.read(size - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return received
