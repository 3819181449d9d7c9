"""`foldline migrate`: applies database migrations."""

from __future__ import annotations

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json
from interfaces.database import open_database, prepare_database
from interfaces.settings import Settings


@with_settings(*DATABASE_SETTINGS, logs=False)
def migrate(*, settings: Settings, as_json: JsonOption = False) -> None:
    """Apply database migrations.

    `serve`, `worker` and the other commands do this when they start. Use this command in deployments where only one
    step may change tables: the role in --dsn must then be allowed to create schemas. Safe to run concurrently: one
    process applies the migrations, the others wait.
    """
    with open_database(settings) as reachable:
        assert reachable.dsn is not None
        applied = prepare_database(reachable.dsn)
    if as_json:
        print_json({"applied": applied})
        return
    for revision in applied:
        typer.echo(f"applied {revision}")
    if not applied:
        typer.echo("no pending migrations")
