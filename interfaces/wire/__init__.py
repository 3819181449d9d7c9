"""The wire formats: bytes in, the messages of the domain out.  No HTTP and no database here."""

from __future__ import annotations

from interfaces.wire import csv, ndjson, segment
from interfaces.wire.base import WireFormat

FORMATS: dict[str, WireFormat] = {
    it.name: it
    for it in (
        segment.FORMAT,
        ndjson.FORMAT,
        csv.FORMAT,
    )
}
"""Every format, by the name of its module.  A new one is a module here and a line above."""

MACHINERY = frozenset(
    {
        "base",
        "body",
        "envelope",
        "files",
        "message_fields",
        "json_scan",
        "times",
    }
)
"""The modules here that are no format, but what formats are made of."""
