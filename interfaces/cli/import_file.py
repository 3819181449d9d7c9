"""`foldline import`: records a file of events; repeating an import adds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interfaces.cli.options import WRITE_SETTINGS, JsonOption, WorkspaceOption, with_settings
from interfaces.settings import Settings

if TYPE_CHECKING:
    from interfaces.cli.file_import import ImportSummary

MAX_SHOWN = 20
"""Rejected lines to print; all of them are stored."""


FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="csv (a header row, one event per row) or ndjson (one Segment message per line);"
        " default: from the file name.",
    ),
]

NumberOption = Annotated[
    list[str] | None,
    typer.Option(
        "--number",
        metavar="COLUMN",
        help="csv: property column that holds numbers; may be repeated.",
    ),
]


def _column(flag: str, content: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=f"csv: column with {content}.")


@with_settings(*WRITE_SETTINGS, "max_message_bytes")
def import_file(
    *,
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to import; may be gzipped.")],
    file_format: FormatOption = None,
    workspace: WorkspaceOption = "default",
    name: Annotated[str | None, _column("--name", "the event's name")] = None,
    user: Annotated[str | None, _column("--user", "the user id")] = None,
    anonymous: Annotated[str | None, _column("--anonymous", "the anonymous id")] = None,
    email: Annotated[str | None, _column("--email", "the e-mail address")] = None,
    time: Annotated[
        str | None, _column("--time", "the time of the event; UTC if it has no zone")
    ] = None,
    session: Annotated[str | None, _column("--session", "the session id")] = None,
    channel: Annotated[str | None, _column("--channel", "the channel, such as web")] = None,
    message_id: Annotated[str | None, _column("--id", "the unique message id")] = None,
    number: NumberOption = None,
    no_project: Annotated[
        bool, typer.Option("--no-project", help="Do not update read models; a worker does.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record the events of a file.

    Repeating an import adds nothing: rows are identified by their id or content.

    CSV columns without an option become properties. An invalid line is rejected with a reason and stored
    (GET /v1/rejected); all other lines are imported. A server may be running.

    Exits 1 if no line was accepted or the file could not be read to the end.
    """
    from interfaces.bootstrap import create_first_keys
    from interfaces.cli import file_import
    from interfaces.cli.database_context import connected_service
    from interfaces.cli.welcome import print_first_keys
    from interfaces.cli.worker_threads import catch_up_with_progress

    columns = {
        "name": name,
        "user": user,
        "anonymous": anonymous,
        "email": email,
        "time": time,
        "session": session,
        "channel": channel,
        "message_id": message_id,
        "numbers": tuple(number or ()),
    }
    source = file_import.resolve_source(file, file_format, columns)
    with connected_service(settings) as svc:
        print_first_keys(create_first_keys(svc), "http://127.0.0.1:8080", err=True)
        target = svc.workspaces.by_name(workspace).id
        summary = file_import.import_events(svc, target, source)
        if not no_project:
            catch_up_with_progress(svc, target)
    _report(summary, as_json=as_json)
    _fail_unless_imported(summary)


def _fail_unless_imported(summary: ImportSummary) -> None:
    from domain.core.errors import FoldlineError

    if summary.read_error is not None:
        raise FoldlineError(
            f"{summary.read_error}. Earlier lines are recorded; import the whole file again to add the rest"
        )
    if summary.rejected and not summary.recorded + summary.duplicates:
        raise typer.Exit(1)


def _report(summary: ImportSummary, *, as_json: bool) -> None:
    from interfaces.cli.output import print_json, print_status

    if as_json:
        print_json(
            {
                "recorded": summary.recorded,
                "duplicates": summary.duplicates,
                "rejected": summary.rejected,
                "position": summary.position,
                "rejections": [line._asdict() for line in summary.rejected_lines[:MAX_SHOWN]],
            }
        )
        return
    typer.echo(
        f"{summary.recorded:,} recorded, {summary.duplicates:,} duplicates, {summary.rejected:,} rejected"
    )
    for rejected in summary.rejected_lines[:MAX_SHOWN]:
        print_status(f"  line {rejected.line}: {rejected.message} ({rejected.code})")
    if summary.rejected > MAX_SHOWN:
        print_status(f"  ... and {summary.rejected - MAX_SHOWN:,} more")
    if summary.rejected:
        print_status("Rejected lines are stored with their reasons: GET /v1/rejected")
