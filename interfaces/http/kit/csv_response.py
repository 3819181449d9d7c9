"""Tables as spreadsheets read them: CSV by RFC 4180, in which no cell is ever a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

CSV_MEDIA_TYPE = "text/csv"
_FORMULA_PREFIXES = tuple("=+-@\t\r\0")


def encode_csv(rows: Iterable[Iterable[str]]) -> bytes:
    """Return rows as lines of a CSV.

    A cell that a spreadsheet would take for a formula has a ``'`` before it (OWASP ASVS 1.2.10).
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(map(_escape_formulas, rows))
    return text.getvalue().encode()


def _escape_formulas(row: Iterable[str]) -> list[str]:
    return [f"'{it}" if it.startswith(_FORMULA_PREFIXES) else it for it in row]
