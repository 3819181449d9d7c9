"""Entry point of the command line: registers the commands and prints errors."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from domain.core.errors import FoldlineError, LedgerUnavailable
from interfaces.cli import (
    demo,
    doctor,
    import_file,
    keys,
    migrate,
    projections,
    segments,
    serve,
    worker,
    workspaces,
)
from interfaces.cli.output import print_error

_DATABASE_LIBRARIES = {"psycopg", "psycopg_pool", "sqlalchemy", "alembic", "eventsourcing"}
"""Libraries whose exceptions mean a database error."""

app = typer.Typer(
    name="foldline",
    help="Foldline records customer events exactly once and serves profiles, segments and funnels from them.\n\n"
    "Start with `foldline demo` to explore sample data, or with `foldline serve` to receive events."
    " No database is needed: unless --dsn names a PostgreSQL server, Foldline runs its own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"foldline {version('foldline')}")
        raise typer.Exit


@app.callback()
def _foldline(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options of `foldline` itself, before any command."""


app.command()(serve.serve)
app.command()(worker.worker)
app.command()(demo.demo)
app.command("import")(import_file.import_file)
app.add_typer(keys.app, name="keys")
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(segments.app, name="segments")
app.add_typer(projections.app, name="projections")
app.command()(migrate.migrate)
app.command()(doctor.doctor)


def main() -> None:
    """Run one command. Exit codes: 0 success, 1 failure, 2 invalid usage, 130 after Ctrl-C."""
    try:
        app()
    except FoldlineError as error:
        print_error(error)
        sys.exit(1)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _DATABASE_LIBRARIES:
            raise
        # For example a missing privilege, or a server that was stopped: no traceback is needed.
        print_error(LedgerUnavailable(f"database error: {str(error).strip()}"))
        sys.exit(1)


if __name__ == "__main__":
    main()
