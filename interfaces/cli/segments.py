"""`foldline segments`: defines and archives segments, and exports their members."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, WorkspaceOption, with_settings
from interfaces.settings import Settings

if TYPE_CHECKING:
    from application.definitions.store import DefinitionResult
    from domain.segments.segment import Segment

app = typer.Typer(
    name="segments",
    help="Define and archive segments, as the API does for an admin key.",
    no_args_is_help=True,
)

ACTOR = "cli"
"""Actor recorded for commands, which run on the server without a key."""


@app.command()
@with_settings(*DATABASE_SETTINGS)
def define(
    *,
    settings: Settings,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="JSON body of POST /v1/segments; - for stdin."),
    ],
    workspace: WorkspaceOption = "default",
) -> None:
    """Create or replace a segment from a file, and print it.

    The file holds {"id": …, "name": …, "condition": …}, or "manual": true for a manual list. With an id the segment
    is created, replaced, or left unchanged if it is equal; without an id a new segment is created.
    """
    from application.definitions.segments import SegmentService
    from application.definitions.store import CommandContext
    from interfaces.cli.database_context import connected_service
    from interfaces.database import workspace_id
    from interfaces.http.api.segments.schemas import SegmentCreate
    from interfaces.http.kit.params import parse_json

    payload = parse_json(file.read(), SegmentCreate)
    with connected_service(settings) as svc:
        segments, context = SegmentService(svc.ledger), CommandContext(ACTOR, payload.reason)
        target, definition = workspace_id(svc.workspaces, workspace), payload.definition
        if payload.id is None:
            _print_segment(segments.create(target, None, definition, context))
        else:
            _print_segment(segments.define(target, payload.id, definition, context))


@app.command()
@with_settings(*DATABASE_SETTINGS)
def archive(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="Segment id.")],
    workspace: WorkspaceOption = "default",
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="TEXT", help="Stored permanently; must not contain personal data."
        ),
    ] = "",
) -> None:
    """Archive a segment and print it; its history is kept."""
    from application.definitions.segments import SegmentService
    from application.definitions.store import CommandContext
    from interfaces.cli.database_context import connected_service
    from interfaces.database import workspace_id

    with connected_service(settings) as svc:
        context = CommandContext(ACTOR, reason)
        _print_segment(
            SegmentService(svc.ledger).archive(
                workspace_id(svc.workspaces, workspace), segment, context
            )
        )


@app.command()
@with_settings(*DATABASE_SETTINGS)
def members(
    *,
    settings: Settings,
    segment: Annotated[str, typer.Argument(metavar="ID", help="Segment id.")],
    workspace: WorkspaceOption = "default",
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Members at this instant or ledger position."),
    ] = None,
) -> None:
    """Export a segment's members as CSV."""
    from interfaces.cli.database_context import connected_service
    from interfaces.database import workspace_id
    from interfaces.http.api.segments.members_csv import export_members

    with connected_service(settings) as svc:
        for lines in export_members(svc, workspace_id(svc.workspaces, workspace), segment, as_of):
            sys.stdout.buffer.write(lines)


def _print_segment(result: DefinitionResult[Segment]) -> None:
    from interfaces.http.api.segments.segments import SEGMENTS
    from interfaces.http.kit.event_json import encode_json

    typer.echo(encode_json(SEGMENTS.result_json(result)).decode())
