"""`foldline workspaces`: create and list workspaces."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json, print_status, print_table
from interfaces.database import open_tenants
from interfaces.settings import Settings

app = typer.Typer(
    name="workspaces",
    help="Create and list workspaces.\n\nA workspace is one tenant, with its own ledger and keys.",
    no_args_is_help=True,
)


@app.command()
@with_settings(*DATABASE_SETTINGS, logs=False)
def create(
    *,
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the workspace.")],
    as_json: JsonOption = False,
) -> None:
    """Create a workspace with an empty ledger. It has no keys yet: see `foldline keys create`."""
    with open_tenants(settings) as tenants:
        workspace = tenants.workspaces.create(name)
    if as_json:
        print_json(workspace._asdict())
    else:
        print_status(
            f"Created workspace {workspace.name}."
            f" Next: foldline keys create --workspace {shlex.quote(workspace.name)} --kind write"
        )


@app.command("list")
@with_settings(*DATABASE_SETTINGS, logs=False)
def list_workspaces(*, settings: Settings, as_json: JsonOption = False) -> None:
    """List all workspaces, oldest first, with the number of events in their ledgers."""
    with open_tenants(settings) as tenants:
        heads = tenants.workspaces.heads()
        rows = [
            workspace._asdict() | {"head": heads.get(workspace.id, 0)}
            for workspace in tenants.workspaces.list()
        ]
    if as_json:
        print_json({"workspaces": rows})
    else:
        names = ("id", "name", "created_at", "head")
        print_table(
            ["id", "name", "created", "events"], [[row[name] for name in names] for row in rows]
        )
