"""The page about wire formats: what each reads, and how its clients send."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, table
from interfaces.wire import FORMATS
from interfaces.wire.contract import HttpDialect, WireFormat

_INTRODUCTION = """\
# Wire formats

A wire format turns the bytes of an SDK, or of a file, into messages. Clients send to the paths below with a write key. Any Content-Type is
read, gzip and deflate are unpacked, and a slash at the end of a path makes no difference. An answer of success is sent once everything is on
disk. 503 with `Retry-After` means that nothing was recorded and the client sends again: the database is away, the queue is full, or the
requests of a process hold more than 256 MiB together.

A message that is not accepted costs only itself: it is kept with the reason, and its neighbours are recorded. See [errors](errors.md) for the
codes.
"""


def page() -> str:
    """Return the page."""
    return markdown.page(
        _INTRODUCTION, *(markdown.page(*_section(wire_format)) for wire_format in FORMATS.values())
    )


def _section(wire_format: WireFormat) -> Iterator[str]:
    name, module = wire_format.name, sys.modules[f"interfaces.wire.{wire_format.name}"]
    yield f"## {name}"
    yield f"{wire_format.summary[0].upper()}{wire_format.summary[1:]}."
    yield markdown.docstring(module).partition("\n\n")[2]
    if wire_format.http is not None:
        yield from _dialect(wire_format.http)
    if wire_format.read is not None:
        yield f"Files: `foldline import FILE --format {name}`; see [the command line](cli.md)."


def _dialect(dialect: HttpDialect) -> Iterator[str]:
    routes = [(" ".join(route.methods), code(route.path)) for route in dialect.routes]
    side = [("any", code(route.path)) for route in dialect.side_routes]
    yield table(("method", "path"), [*routes, *side])
    yield f"Key: {dialect.key.hint}."
    yield (
        "Pages of any origin may send." if dialect.cors else "Pages of other origins may not send."
    )
    yield dialect.tls
    limits = dialect.limits
    if limits is None:
        yield (
            "Limits: those of the settings `FOLDLINE_MAX_BATCH_BYTES`, `FOLDLINE_MAX_MESSAGE_BYTES` and"
            " `FOLDLINE_MAX_BATCH_MESSAGES`."
        )
    else:
        yield (
            f"Limits: {limits.body_bytes:,} bytes a body after decompression, {limits.message_bytes:,} bytes a"
            f" message, {limits.batch_messages:,} messages a request."
        )
