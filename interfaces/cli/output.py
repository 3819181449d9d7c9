"""Output of commands: results on standard output, status and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from domain.core.errors import FoldlineError

if TYPE_CHECKING:
    from rich.progress import Progress


def print_error(error: FoldlineError) -> None:
    """Print an error and its reason to standard error."""
    typer.echo(f"error: {error}", err=True)
    reason = error.details.get("reason")
    if reason and str(reason) not in str(error):
        typer.echo(f"  reason: {str(reason).strip()}", err=True)


def print_json(value: object) -> None:
    """Print one JSON document; times are RFC 3339, UTC, with microseconds."""
    typer.echo(json.dumps(value, indent=2, default=_json_default))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns; cells are never truncated, so that they can be copied."""
    lines = [list(columns), *([str(_format_cell(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())


def progress_bar(*columns: Any) -> Progress:
    """Return a progress bar on standard error; it draws only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
        transient=False,
    )


def print_status(text: str = "") -> None:
    """Print a status line to standard error, which is not part of the command's result."""
    typer.echo(text, err=True)
    sys.stderr.flush()


def format_instant(instant: datetime) -> str:
    """Format an instant as RFC 3339 in UTC, with microseconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _format_cell(cell: object) -> object:
    if cell is None:
        return "-"
    return format_to_seconds(cell) if isinstance(cell, datetime) else cell


def format_to_seconds(instant: datetime) -> str:
    """Format an instant for tables: UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _json_default(value: object) -> object:
    return format_instant(value) if isinstance(value, datetime) else str(value)
