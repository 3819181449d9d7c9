"""CSV by RFC 4180 for spreadsheets, with cells escaped so that none is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

CSV_MEDIA_TYPE = "text/csv"
_FORMULA_PREFIXES = tuple("=+-@\t\r\0")


def encode_csv(rows: Iterable[Iterable[str]]) -> bytes:
    """Encode rows as CSV lines in UTF-8.

    A cell that a spreadsheet would read as a formula is prefixed with ``'`` (OWASP ASVS 1.2.10).
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(map(_escape_formulas, rows))
    return text.getvalue().encode()


def _escape_formulas(row: Iterable[str]) -> list[str]:
    return [f"'{cell}" if cell.startswith(_FORMULA_PREFIXES) else cell for cell in row]
