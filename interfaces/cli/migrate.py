"""`foldline migrate`: bring the ledger's tables to the newest shape."""

from __future__ import annotations

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json
from interfaces.settings import Settings


@with_settings(*DATABASE_SETTINGS)
def migrate(*, settings: Settings, as_json: JsonOption = False) -> None:
    """Bring the tables to the newest shape.

    `serve`, `worker` and the others do this by themselves when they start. It stands alone for deployments
    where only one step may change tables: the role in --dsn must then be allowed to create schemas.
    Any number of them may run at once; one does the work and the others wait.
    """
    from application.ledger.migrate import migrate as bring_up_to_date
    from interfaces.bootstrap import check_server, open_database

    with open_database(settings) as reachable:
        assert reachable.dsn is not None
        check_server(reachable.dsn)
        applied = bring_up_to_date(reachable.dsn)
    if as_json:
        print_json({"applied": applied})
        return
    for revision in applied:
        typer.echo(f"applied {revision}")
    if not applied:
        typer.echo("nothing to do: the database has the newest shape")
