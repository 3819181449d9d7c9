"""`foldline keys`: create, list and revoke the keys of clients."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, WorkspaceOption, with_settings
from interfaces.cli.output import print_json, print_status, print_table
from interfaces.database import open_tenants, workspace_id
from interfaces.settings import Settings

app = typer.Typer(
    name="keys",
    help="Create, list and revoke keys.\n\n"
    "write: may only send events; safe in a web page. read: may query. admin: may do everything, including"
    " managing keys.",
    no_args_is_help=True,
)


@app.command()
@with_settings(*DATABASE_SETTINGS, logs=False)
def create(
    *,
    settings: Settings,
    kind: Annotated[
        str, typer.Option("--kind", "-k", metavar="KIND", help="write, read or admin.")
    ],
    workspace: WorkspaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it; it is shown only once.

    Only a hash of it is stored. Standard output contains only the key, so
    `KEY=$(foldline keys create --kind write)` works.
    """
    with open_tenants(settings) as tenants:
        key = tenants.keys.create(workspace_id(tenants.workspaces, workspace), kind)
    if as_json:
        print_json({"id": key.id, "workspace": workspace, "kind": key.kind, "key": key.text})
        return
    article = "An" if key.kind == "admin" else "A"
    print_status(
        f"{article} {key.kind} key of workspace {workspace}, id {key.id}; it is not shown again:"
    )
    typer.echo(key.text)


@app.command("list")
@with_settings(*DATABASE_SETTINGS, logs=False)
def list_keys(
    *, settings: Settings, workspace: WorkspaceOption = "default", as_json: JsonOption = False
) -> None:
    """List a workspace's keys, oldest first, including revoked ones."""
    with open_tenants(settings) as tenants:
        rows = tenants.keys.list(workspace_id(tenants.workspaces, workspace))
    names = ("id", "kind", "created_at", "expires_at", "revoked_at")
    cells = [[getattr(row, name) for name in names] for row in rows]
    if as_json:
        print_json({"keys": [dict(zip(names, row, strict=True)) for row in cells]})
    else:
        print_table([name.removesuffix("_at") for name in names], cells)


@app.command()
@with_settings(*DATABASE_SETTINGS, logs=False)
def revoke(
    *,
    settings: Settings,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Key id, see `foldline keys list`.")],
    workspace: WorkspaceOption = "default",
) -> None:
    """Revoke a key; takes up to 5 seconds in running processes."""
    with open_tenants(settings) as tenants:
        tenants.keys.revoke(workspace_id(tenants.workspaces, workspace), key_id)
    print_status(f"Key {key_id} is revoked.")
