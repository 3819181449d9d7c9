"""`foldline segments`: define and archive segments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import ANY_COMMAND, takes
from interfaces.settings import Settings

if TYPE_CHECKING:
    from application.definitions.segments import Outcome

app = typer.Typer(
    name="segments",
    help="Define and archive segments, as the API does for an admin key.",
    no_args_is_help=True,
)

ACTOR = "cli"
"""Who decides: whoever runs commands on the server has no key."""

Workspace = Annotated[
    str,
    typer.Option("--workspace", "-w", metavar="NAME", help="Whose segment: a workspace's name."),
]


@app.command()
@takes(*ANY_COMMAND)
def define(
    *,
    settings: Settings,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="JSON, as POST /v1/segments takes it; - for stdin."),
    ],
    workspace: Workspace = "default",
) -> None:
    """Make a segment what a file says, and print what it is then.

    The file holds {"id": …, "name": …, "condition": …}, or "manual": true for a list kept by hand. With an id a
    segment is made or changed, and left alone if it is so already; without one a new segment is made.
    """
    from application.definitions.segments import Segments
    from application.definitions.store import Decision
    from interfaces.cli.database_context import opened, workspace_id
    from interfaces.http.api.segments.segments import New
    from interfaces.http.kit.params import parsed

    asked = parsed(file.read(), New)
    with opened(settings) as svc:
        segments, by = Segments(svc.ledger), Decision(ACTOR, asked.reason)
        of, wanted = workspace_id(svc, workspace), asked.definition
        if asked.id is None:
            _say(segments.create(of, None, wanted, by))
        else:
            _say(segments.define(of, asked.id, wanted, by))


@app.command()
@takes(*ANY_COMMAND)
def archive(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="The segment's id.")],
    workspace: Workspace = "default",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept for ever: name nobody in it.")
    ] = "",
) -> None:
    """Have nobody in a segment from now on, and print what it was; its history stays."""
    from application.definitions.segments import Segments
    from application.definitions.store import Decision
    from interfaces.cli.database_context import opened, workspace_id

    with opened(settings) as svc:
        by = Decision(ACTOR, reason)
        _say(Segments(svc.ledger).archive(workspace_id(svc, workspace), segment, by))


@app.command()
@takes(*ANY_COMMAND)
def members(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="The segment's id.")],
    workspace: Workspace = "default",
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Who was in it then.")
    ] = None,
) -> None:
    """Print everybody in a segment as a CSV."""
    from interfaces.cli.database_context import opened, workspace_id
    from interfaces.http.api.segments.members import table

    with opened(settings) as svc:
        for lines in table(svc, workspace_id(svc, workspace), segment, as_of):
            sys.stdout.buffer.write(lines)


def _say(made: Outcome) -> None:
    from interfaces.http.api.segments.segments import shown
    from interfaces.http.kit.event_json import encode

    typer.echo(encode(shown(made)).decode())
