"""Entry point of the command line: registers the commands and prints errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.core.errors import FoldlineError, LedgerUnavailable
from interfaces.cli.lazy_group import LazyCommand, lazy_group
from interfaces.cli.output import print_error

COMMANDS = {
    "serve": LazyCommand(
        "interfaces.cli.serve:serve",
        "Run the API, and the worker unless --no-worker is given.",
    ),
    "worker": LazyCommand(
        "interfaces.cli.worker:worker",
        "Maintain read models and send deliveries, without the API.",
    ),
    "demo": LazyCommand(
        "interfaces.cli.demo:demo",
        "Serve sample data: a shop with 300 customers, segments, a funnel and rules.",
    ),
    "import": LazyCommand("interfaces.cli.import_file:import_file", "Record the events of a file."),
    "keys": LazyCommand("interfaces.cli.keys:app", "Create, list and revoke keys."),
    "workspaces": LazyCommand("interfaces.cli.workspaces:app", "Create and list workspaces."),
    "segments": LazyCommand(
        "interfaces.cli.segments:app",
        "Define and archive segments, as the API does for an admin key.",
    ),
    "projections": LazyCommand(
        "interfaces.cli.projections:app", "List, rebuild and verify read models."
    ),
    "migrate": LazyCommand("interfaces.cli.migrate:migrate", "Apply database migrations."),
    "doctor": LazyCommand(
        "interfaces.cli.doctor:doctor", "Check the installation and suggest fixes."
    ),
}
"""Every command, with the module that is imported when it is used."""

_DATABASE_LIBRARIES = {"psycopg", "psycopg_pool", "sqlalchemy", "alembic", "eventsourcing"}
"""Libraries whose exceptions mean a database error."""

app = typer.Typer(
    name="foldline",
    cls=lazy_group(COMMANDS),
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
        from importlib.metadata import version

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
