"""`foldline segments`: define and archive segments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, with_settings
from interfaces.settings import Settings

if TYPE_CHECKING:
    from application.definitions.segment_store import SegmentResult

app = typer.Typer(
    name="segments",
    help="Define and archive segments, as the API does for an admin key.",
    no_args_is_help=True,
)

ACTOR = "cli"
"""Who decides: whoever runs commands on the server has no key."""

WorkspaceOption = Annotated[
    str,
    typer.Option("--workspace", "-w", metavar="NAME", help="Whose segment: a workspace's name."),
]


@app.command()
@with_settings(*DATABASE_SETTINGS)
def define(
    *,
    settings: Settings,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="JSON, as POST /v1/segments takes it; - for stdin."),
    ],
    workspace: WorkspaceOption = "default",
) -> None:
    """Make a segment what a file says, and print what it is then.

    The file holds {"id": …, "name": …, "condition": …}, or "manual": true for a list kept by hand. With an id a
    segment is made or changed, and left alone if it is so already; without one a new segment is made.
    """
    from application.definitions.segments import SegmentService
    from application.definitions.store import CommandContext
    from interfaces.cli.database_context import connected_service, workspace_id
    from interfaces.http.api.segments.schemas import SegmentCreate
    from interfaces.http.kit.params import parse_json

    asked = parse_json(file.read(), SegmentCreate)
    with connected_service(settings) as svc:
        segments, by = SegmentService(svc.ledger), CommandContext(ACTOR, asked.reason)
        of, wanted = workspace_id(svc, workspace), asked.definition
        if asked.id is None:
            _print_segment(segments.create(of, None, wanted, by))
        else:
            _print_segment(segments.define(of, asked.id, wanted, by))


@app.command()
@with_settings(*DATABASE_SETTINGS)
def archive(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="The segment's id.")],
    workspace: WorkspaceOption = "default",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept for ever: name nobody in it.")
    ] = "",
) -> None:
    """Have nobody in a segment from now on, and print what it was; its history stays."""
    from application.definitions.segments import SegmentService
    from application.definitions.store import CommandContext
    from interfaces.cli.database_context import connected_service, workspace_id

    with connected_service(settings) as svc:
        by = CommandContext(ACTOR, reason)
        _print_segment(
            SegmentService(svc.ledger).archive(workspace_id(svc, workspace), segment, by)
        )


@app.command()
@with_settings(*DATABASE_SETTINGS)
def members(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="The segment's id.")],
    workspace: WorkspaceOption = "default",
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Who was in it then.")
    ] = None,
) -> None:
    """Print everybody in a segment as a CSV."""
    from interfaces.cli.database_context import connected_service, workspace_id
    from interfaces.http.api.segments.members_csv import export_members

    with connected_service(settings) as svc:
        for lines in export_members(svc, workspace_id(svc, workspace), segment, as_of):
            sys.stdout.buffer.write(lines)


def _print_segment(result: SegmentResult) -> None:
    from interfaces.http.api.segments.segments import segment_json
    from interfaces.http.kit.event_json import encode_json

    typer.echo(encode_json(segment_json(result)).decode())
