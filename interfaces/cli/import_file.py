"""`foldline import`: take in a file of events, once, however often it is tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interfaces.cli.options import WRITE_SETTINGS, JsonOption, with_settings
from interfaces.settings import Settings

if TYPE_CHECKING:
    from interfaces.cli.file_import import ImportSummary

MAX_SHOWN = 20
"""Rejected lines that are shown; all of them are kept."""


def _column(flag: str, what: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=f"csv: column with {what}.")


@with_settings(*WRITE_SETTINGS, "max_message_bytes")
def import_file(
    *,
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="May be gzipped.")],
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="csv (a heading, one event a row) or ndjson (one Segment message a line)."
            " Left out: by the file's name.",
        ),
    ] = None,
    workspace: Annotated[
        str, typer.Option("--workspace", "-w", metavar="NAME", help="Where to.")
    ] = "default",
    name: Annotated[str | None, _column("--name", "the event's name")] = None,
    user: Annotated[str | None, _column("--user", "the user id")] = None,
    anonymous: Annotated[str | None, _column("--anonymous", "the anonymous id")] = None,
    email: Annotated[str | None, _column("--email", "the e-mail address")] = None,
    time: Annotated[str | None, _column("--time", "when it happened; no zone means UTC")] = None,
    session: Annotated[str | None, _column("--session", "the session's id")] = None,
    channel: Annotated[str | None, _column("--channel", "the channel, such as web")] = None,
    message_id: Annotated[str | None, _column("--id", "the message's own, unique id")] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(
            "--number", metavar="COLUMN", help="csv: property that is a number; may be repeated."
        ),
    ] = None,
    no_project: Annotated[
        bool, typer.Option("--no-project", help="Leave the read models to a worker.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record the events of a file.

    Importing it again adds nothing: a row is known by its id or its content.

    The columns of a csv that no option names become properties. A line that cannot be an event is reported with
    the reason, kept (GET /v1/rejected), and keeps nothing else out. A server may run meanwhile.

    Exits 1 if nothing of the file is in the ledger afterwards, or if it could not be read to its end.
    """
    from domain.core.errors import FoldlineError
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
    if summary.read_error is not None:
        raise FoldlineError(
            f"{summary.read_error}. What was read before that is recorded; import the whole file again to add the rest"
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
                "rejections": [it._asdict() for it in summary.rejected_lines[:MAX_SHOWN]],
            }
        )
        return
    typer.echo(
        f"{summary.recorded:,} recorded, {summary.duplicates:,} already there, {summary.rejected:,} rejected"
    )
    for refused in summary.rejected_lines[:MAX_SHOWN]:
        print_status(f"  line {refused.line}: {refused.message} ({refused.code})")
    if summary.rejected > MAX_SHOWN:
        print_status(f"  ... and {summary.rejected - MAX_SHOWN:,} more")
    if summary.rejected:
        print_status("All rejected lines are kept, with the reason: GET /v1/rejected")
