"""`foldline keys`: make, list and revoke the keys that clients authenticate with."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json, print_status, print_table
from interfaces.settings import Settings

app = typer.Typer(
    name="keys",
    help="Make, list and revoke keys.\n\n"
    "write: may send events, and nothing else; safe in a web page. read: may ask. admin: may do both, and"
    " make keys.",
    no_args_is_help=True,
)

WorkspaceOption = Annotated[
    str, typer.Option("--workspace", "-w", metavar="NAME", help="Whose key: a workspace's name.")
]


@app.command()
@with_settings(*DATABASE_SETTINGS)
def create(
    *,
    settings: Settings,
    kind: Annotated[
        str, typer.Option("--kind", "-k", metavar="KIND", help="write, read or admin.")
    ],
    workspace: WorkspaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once.

    Only a hash of it is kept. Standard output holds the key and nothing else, so `KEY=$(foldline keys create --kind write)` works.
    """
    from interfaces.cli.database_context import connected_service, workspace_id

    with connected_service(settings) as svc:
        made = svc.keys.create(workspace_id(svc, workspace), kind)
    if as_json:
        print_json({"id": made.id, "workspace": workspace, "kind": made.kind, "key": made.text})
        return
    a = "An" if made.kind == "admin" else "A"
    print_status(
        f"{a} {made.kind} key of workspace {workspace}, id {made.id}; it is not shown again:"
    )
    typer.echo(made.text)


@app.command("list")
@with_settings(*DATABASE_SETTINGS)
def list_keys(
    *, settings: Settings, workspace: WorkspaceOption = "default", as_json: JsonOption = False
) -> None:
    """List a workspace's keys, oldest first, revoked ones too."""
    from interfaces.cli.database_context import connected_service, workspace_id

    with connected_service(settings) as svc:
        rows = svc.keys.list(workspace_id(svc, workspace))
    names = ("id", "kind", "created_at", "expires_at", "revoked_at")
    cells = [[getattr(row, name) for name in names] for row in rows]
    if as_json:
        print_json({"keys": [dict(zip(names, row, strict=True)) for row in cells]})
    else:
        print_table([name.removesuffix("_at") for name in names], cells)


@app.command()
@with_settings(*DATABASE_SETTINGS)
def revoke(
    *,
    settings: Settings,
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="The key's id, as `foldline keys list` shows it.")
    ],
    workspace: WorkspaceOption = "default",
) -> None:
    """Make a key useless, within five seconds in every running process."""
    from interfaces.cli.database_context import connected_service, workspace_id

    with connected_service(settings) as svc:
        svc.keys.revoke(workspace_id(svc, workspace), key_id)
    print_status(f"Key {key_id} works no longer.")
