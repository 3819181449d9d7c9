"""A process that renders templates and does nothing else: it may be killed at any moment.

The limits of the template language do not cover everything (one line can make a text of any length), so
memory is limited by the operating system, and whoever asks kills this process when it takes too long.
It reads jobs from its standard input and writes answers to its standard output, each after its length.
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

from application.deliveries.templates import Answer, Job

MEMORY = 256 * 1024 * 1024
"""Bytes of address space."""

ALONE_SECONDS = 5.0
"""After so long on one job the process ends by itself: who asked for it is gone."""

_TAGS = (
    *("#", "assign", "break", "capture", "case", "comment", "continue", "cycle", "decrement"),
    *("echo", "for", "if", "increment", "liquid", "unless"),
    *("content", "illegal", "output"),  # what the library makes of text, of {{ }}, and of the rest
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
_LONGEST_RANGE = 1_000
_ONE_EXPRESSION = re.compile(r"\s*\{\{((?!\}\}|\{\{).)*\}\}\s*", re.DOTALL)


def _plain(value: Any) -> Any:
    """Return what JSON can say of a value of the template language."""
    if is_undefined(value):
        return None
    return list(value) if isinstance(value, range) else str(value)


class Limited(Environment):
    """The template language, as far as it is let in."""

    loop_iteration_limit = 10_000
    local_namespace_limit = 1_000_000
    output_stream_limit = 262_144

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Leave out what is not on the lists."""
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: self.tags[name] for name in _TAGS}
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters["json"] = JSON(default=_plain)


_language = Limited()
_template: Callable[[str], BoundTemplate] = lru_cache(maxsize=256)(_language.from_string)


def render(job: Job) -> Answer:
    """Do one job.  What the templates or their data do wrong is in the answer."""
    try:
        if not job.context:
            _check(msgspec.json.decode(job.document))
            return Answer()
        context = msgspec.json.decode(job.context)
        texts = {name: _template(text).render(**context) for name, text in job.texts.items()}
        document = b""
        if job.document:
            rendered = _rendered(msgspec.json.decode(job.document), context)
            document = msgspec.json.encode(rendered, enc_hook=_plain)
    except LiquidError as error:
        return Answer(error=str(error).partition("\n")[0])
    except MemoryError:
        return Answer(error="it needs more memory than a template may use")
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError) as error:
        return Answer(error=f"{type(error).__name__}: {error}")
    return Answer(texts, document)


def _check(value: Any) -> None:
    if isinstance(value, str):
        for name in _template(value).analyze(include_partials=False).filters:
            if name not in _language.filters:
                raise LiquidValueError(f"there is no filter {name!r}", token=None)
    elif isinstance(value, (dict, list)):
        for it in value.values() if isinstance(value, dict) else value:
            _check(it)


def _rendered(value: Any, context: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _rendered(it, context) for key, it in value.items()}
    if isinstance(value, list):
        return [_rendered(it, context) for it in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    template = _template(value)
    if not _ONE_EXPRESSION.fullmatch(value):
        return template.render(**context)
    [node] = [it for it in template.nodes if isinstance(it, OutputNode)]
    return node.expression.evaluate(RenderContext(template, globals=context))


def _short_range(self: RangeLiteral, start: Any, stop: Any) -> range:
    found = _any_range(self, start, stop)
    if len(found) > _LONGEST_RANGE:
        raise LiquidValueError(f"a range has at most {_LONGEST_RANGE} numbers", token=None)
    return found


_any_range = RangeLiteral._make_range  # noqa: SLF001 - the one place where a range is made


def main() -> None:
    """Do jobs until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    setattr(RangeLiteral, "_make_range", _short_range)  # noqa: B010 - a method of the library's
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    decode, encode = msgspec.msgpack.Decoder(Job).decode, msgspec.msgpack.Encoder().encode
    while len(size := source.read(4)) == 4:
        job = decode(source.read(int.from_bytes(size)))
        signal.setitimer(signal.ITIMER_REAL, ALONE_SECONDS)
        answer = encode(render(job))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(len(answer).to_bytes(4) + answer)
        sink.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
