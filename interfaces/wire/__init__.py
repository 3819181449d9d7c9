"""Wire formats: convert bytes into domain messages, without HTTP or database access."""

from __future__ import annotations

from interfaces.wire import csv, ndjson, segment
from interfaces.wire.contract import WireFormat

FORMATS: dict[str, WireFormat] = {
    wire_format.name: wire_format
    for wire_format in (
        segment.FORMAT,
        ndjson.FORMAT,
        csv.FORMAT,
    )
}
"""All formats by the name of their module.  A new format is a module here and a line above."""

MACHINERY = frozenset(
    {
        "base",
        "body",
        "contract",
        "envelope",
        "files",
        "json_scan",
        "keys",
        "message_fields",
        "routing",
        "times",
    }
)
"""Modules of this package that are shared by formats and define none."""
