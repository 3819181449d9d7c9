"""`foldline workspaces`: make and list tenants, each with a ledger and keys of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json, print_status, print_table
from interfaces.settings import Settings

app = typer.Typer(
    name="workspaces",
    help="Make and list workspaces.\n\nA workspace is one tenant, with a ledger and keys of its own.",
    no_args_is_help=True,
)


@app.command()
@with_settings(*DATABASE_SETTINGS)
def create(
    *,
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will type.")],
    as_json: JsonOption = False,
) -> None:
    """Make a workspace with an empty ledger.  It has no keys yet: see `foldline keys create`."""
    from interfaces.cli.database_context import connected_service

    with connected_service(settings) as svc:
        made = svc.workspaces.create(name)
    if as_json:
        print_json(made._asdict())
    else:
        print_status(
            f"Workspace {made.name} is made. Next: foldline keys create --workspace {made.name} --kind write"
        )


@app.command("list")
@with_settings(*DATABASE_SETTINGS)
def list_workspaces(*, settings: Settings, as_json: JsonOption = False) -> None:
    """List all workspaces, oldest first, with how many events their ledgers hold."""
    from interfaces.cli.database_context import connected_service

    with connected_service(settings) as svc:
        heads = svc.ledger.heads()
        rows = [it._asdict() | {"head": heads.get(it.id, 0)} for it in svc.workspaces.list()]
    if as_json:
        print_json({"workspaces": rows})
    else:
        names = ("id", "name", "created_at", "head")
        print_table(
            ["id", "name", "created", "events"], [[row[it] for it in names] for row in rows]
        )
