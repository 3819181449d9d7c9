"""Child process that only renders templates; it may be killed at any moment.

The limits of the template language do not cover everything (one line can produce a text of any length), so
the operating system limits memory, and the parent kills this process when it takes too long.  It reads jobs
from standard input and writes results to standard output as MessagePack, each after its length in 4 bytes.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from liquid import BoundTemplate, Environment, RenderContext, is_undefined
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, LiquidValueError
from liquid.extra.filters import JSON

from application.deliveries.templates import RenderJob, RenderResult

MEMORY_LIMIT_BYTES = 256 * 1024 * 1024
"""Maximum address space of the process, in bytes."""

_OUT_OF_MEMORY = f"the template needs more than {MEMORY_LIMIT_BYTES // 1024**2} MiB of memory"

MAX_JOB_SECONDS = 5.0
"""The process ends itself when one job takes longer: its parent is gone."""

_TAGS = (
    *("#", "assign", "break", "capture", "case", "comment", "continue", "cycle", "decrement"),
    *("echo", "for", "if", "increment", "liquid", "unless"),
    *("content", "illegal", "output"),  # the library's own tags for text, {{ }} and errors
)
_FILTERS = (
    *("abs", "append", "at_least", "at_most", "base64_decode", "base64_encode"),
    *("base64_url_safe_decode", "base64_url_safe_encode", "capitalize", "ceil", "compact"),
    *("concat", "date", "default", "divided_by", "downcase", "escape", "escape_once", "find"),
    *("first", "floor", "has", "join", "last", "lstrip", "map", "minus", "modulo"),
    *("newline_to_br", "plus", "prepend", "reject", "remove", "remove_first", "remove_last"),
    *("replace", "replace_first", "replace_last", "reverse", "round", "rstrip", "size", "slice"),
    *("sort", "sort_natural", "split", "squish", "strip", "strip_html", "strip_newlines", "sum"),
    *("times", "truncate", "truncatewords", "uniq", "upcase", "url_decode", "url_encode", "where"),
)
_MAX_RANGE_SIZE = 1_000
"""Maximum length of a range such as ``(1..10)``."""

_ONE_EXPRESSION = re.compile(r"\s*\{\{((?!\}\}|\{\{).)*\}\}\s*", re.DOTALL)


def _json_fallback(value: Any) -> Any:
    """Returns a JSON value for a value of the template language that JSON does not have."""
    if is_undefined(value):
        return None
    return list(value) if isinstance(value, range) else str(value)


class LimitedEnvironment(Environment):
    """Liquid, reduced to the tags and filters listed here."""

    loop_iteration_limit = 10_000
    local_namespace_limit = 1_000_000
    output_stream_limit = 262_144

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Removes tags and filters that are not listed."""
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: self.tags[name] for name in _TAGS}
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters["json"] = JSON(default=_json_fallback)


_environment = LimitedEnvironment()
_parse_template: Callable[[str], BoundTemplate] = lru_cache(maxsize=256)(_environment.from_string)


def render(job: RenderJob) -> RenderResult:
    """Renders one job; errors of the templates or their data are in the result."""
    try:
        if not job.context:
            _validate(msgspec.json.decode(job.document))
            return RenderResult()
        context = msgspec.json.decode(job.context)
        texts = {name: _parse_template(text).render(**context) for name, text in job.texts.items()}
        document = b""
        if job.document:
            rendered = _render_value(msgspec.json.decode(job.document), context)
            document = msgspec.json.encode(rendered, enc_hook=_json_fallback)
    except LiquidError as error:
        return RenderResult(error=str(error).partition("\n")[0])
    except MemoryError:
        return RenderResult(error=_OUT_OF_MEMORY)
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError) as error:
        return RenderResult(error=f"{type(error).__name__}: {error}")
    return RenderResult(texts, document)


def _validate(value: Any) -> None:
    if isinstance(value, str):
        for name in _parse_template(value).analyze(include_partials=False).filters:
            if name not in _environment.filters:
                raise LiquidValueError(f"unknown filter {name!r}", token=None)
    elif isinstance(value, (dict, list)):
        for member in value.values() if isinstance(value, dict) else value:
            _validate(member)


def _render_value(value: Any, context: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _render_value(member, context) for key, member in value.items()}
    if isinstance(value, list):
        return [_render_value(member, context) for member in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    template = _parse_template(value)
    if not _ONE_EXPRESSION.fullmatch(value):
        return template.render(**context)
    [node] = [node for node in template.nodes if isinstance(node, OutputNode)]
    return node.expression.evaluate(RenderContext(template, globals=context))


def _bounded_range(self: RangeLiteral, start: Any, stop: Any) -> range:
    numbers = _unbounded_range(self, start, stop)
    if len(numbers) > _MAX_RANGE_SIZE:
        raise LiquidValueError(f"a range has at most {_MAX_RANGE_SIZE} numbers", token=None)
    return numbers


_unbounded_range = RangeLiteral._make_range  # noqa: SLF001 - the only place that creates ranges


def main() -> None:
    """Renders jobs until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    setattr(RangeLiteral, "_make_range", _bounded_range)  # noqa: B010 - a method of the library
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    decode, encode = msgspec.msgpack.Decoder(RenderJob).decode, msgspec.msgpack.Encoder().encode
    while len(size := source.read(4)) == 4:
        job = decode(source.read(int.from_bytes(size)))
        signal.setitimer(signal.ITIMER_REAL, MAX_JOB_SECONDS)
        result = encode(render(job))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(len(result).to_bytes(4) + result)
        sink.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
