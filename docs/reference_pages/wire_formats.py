"""The page about wire formats: what each reads, and at which paths its clients send."""

from __future__ import annotations

import sys

from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, table
from interfaces.wire import FORMATS
from interfaces.wire.base import WireLimits

_INTRODUCTION = """\
# Wire formats

A wire format turns the bytes of an SDK, or of a file, into messages. Clients POST to the paths below with a write key: as the user name of
HTTP Basic authentication, as a Bearer token, as `writeKey` in the body, or as `writeKey` in the query. Any Content-Type is read, gzip and
deflate are unpacked, a slash at the end of a path makes no difference, and pages of any origin may send.

What was accepted is answered with 200 and `{"success": true, "position": …}` once it is on disk; the position is for `min_position` of a
query. A lone message that is not accepted is answered with 400. A batch is answered with 200 and lists what was not accepted in `rejected`;
with the header `X-Strict-Mode: 1` a batch without a single good message is a 400. See [errors](errors.md) for the codes. 503 means that
nothing was recorded and the client sends again.
"""


def page() -> str:
    """Return the page."""
    limits = WireLimits()
    return markdown.page(
        _INTRODUCTION,
        table(
            ("limit", "default", "setting"),
            (
                (
                    "body, after decompression",
                    f"{limits.body_bytes:,} bytes",
                    code("FOLDLINE_MAX_BATCH_BYTES"),
                ),
                (
                    "one message",
                    f"{limits.message_bytes:,} bytes",
                    code("FOLDLINE_MAX_MESSAGE_BYTES"),
                ),
                (
                    "messages of a batch",
                    f"{limits.batch_messages:,}",
                    code("FOLDLINE_MAX_BATCH_MESSAGES"),
                ),
            ),
        ),
        *(
            markdown.page(
                f"## {name}",
                f"{wire_format.summary[0].upper()}{wire_format.summary[1:]}.",
                markdown.docstring(_module_of(wire_format.name)).partition("\n\n")[2],
                f"Paths: {', '.join(map(code, wire_format.routes))}." if wire_format.routes else "",
                f"Files: `foldline import FILE --format {name}`; see [the command line](cli.md)."
                if wire_format.read
                else "",
            )
            for name, wire_format in FORMATS.items()
        ),
    )


def _module_of(name: str) -> object:
    return sys.modules[f"interfaces.wire.{name}"]
