"""`foldline projections`: list, rebuild and verify read models."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json, print_status, print_table, progress_bar
from interfaces.settings import Settings

if TYPE_CHECKING:
    from projections.rebuild.progress import BuildProgress
    from projections.rebuild.service import RebuildService
    from projections.runtime.build_tables import BuildKind
    from projections.runtime.status import ProjectionStatus

app = typer.Typer(
    name="projections",
    help="List, rebuild and verify read models.\n\n"
    "A rebuild runs in a shadow schema next to the live tables and switches to it once it has caught up."
    " A rebuild fires no rules and sends nothing.",
    no_args_is_help=True,
)

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME...]", help="Read model names (see `list`); default: all."),
]


@app.command("list")
@with_settings(*DATABASE_SETTINGS)
def list_projections(*, settings: Settings, as_json: JsonOption = False) -> None:
    """List the read models of each workspace, with their position, lag and last build."""
    from interfaces.cli.database_context import connected_service
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        builds = RebuildService(svc.projector).status()
        names = {workspace.id: workspace.name for workspace in svc.workspaces.list()}
        rows = [
            _projection_row(names[status.workspace], status, builds.get(status.name))
            for status in svc.projector.status()
        ]
    if as_json:
        print_json({"projections": rows})
        return
    columns = ("workspace", "name", "version", "position", "lag", "failure", "build")
    print_table(columns, [[row[column] for column in columns] for row in rows])


@app.command()
@with_settings(*DATABASE_SETTINGS)
def rebuild(
    *,
    settings: Settings,
    names: NamesArgument = None,
    restart: Annotated[
        bool,
        typer.Option("--anew", help="Start from scratch instead of resuming a cancelled build."),
    ] = False,
) -> None:
    """Rebuild read models and switch to each once it has caught up.

    Rebuilds run in parallel on all cores while the live tables serve queries. Ctrl-C stops them; the next `rebuild`
    or a worker resumes them.
    """
    _request_and_run(settings, names, "rebuild", restart=restart)
    print_status("Done: the rebuilt tables are live.")


@app.command()
@with_settings(*DATABASE_SETTINGS)
def verify(*, settings: Settings, names: NamesArgument = None, as_json: JsonOption = False) -> None:
    """Rebuild read models in a shadow schema and compare every row. Exits 1 on a difference."""
    builds = _request_and_run(settings, names, "verify")
    if as_json:
        print_json({build.name: build.result for build in builds})
    else:
        rows = [
            (build.name, *_comparison_row(table))
            for build in builds
            for table in _compared_tables(build)
        ]
        print_table(["name", "table", "rows", "only live", "only rebuilt"], rows)
    if not all(build.result is not None and build.result["same"] for build in builds):
        print_status(
            "Differences found. `foldline projections rebuild NAME` replaces the live rows."
        )
        sys.exit(1)


@app.command()
@with_settings(*DATABASE_SETTINGS)
def cancel(
    *,
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the read model.")],
    discard: Annotated[
        bool, typer.Option("--discard", help="Also drop the partially built tables.")
    ] = False,
) -> None:
    """Cancel a build in any process. Its progress is kept unless --discard is given."""
    from interfaces.cli.database_context import connected_service
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        cancelled = RebuildService(svc.projector).cancel(name, discard=discard)
    print_status(
        f"The build of {name} is cancelled." if cancelled else f"No build of {name} is running."
    )


def _request_and_run(
    settings: Settings, names: Iterable[str] | None, kind: BuildKind, *, restart: bool = False
) -> list[BuildProgress]:
    """Request builds and run them, or wait for the process that runs them, until all are done."""
    from interfaces.cli.database_context import connected_service
    from interfaces.cli.parallel_rebuild import run_builds
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        rebuilds = RebuildService(svc.projector)
        requested = [projection.name for projection in rebuilds.by_name(list(names or ()))]
        rebuilds.request(requested, kind, restart=restart)
        with _show_progress(rebuilds, requested, kind) as on_progress:
            run_builds(svc, requested, on_progress)
        builds = [rebuilds.status()[name] for name in requested]
    for build in builds:
        if build.state != "done":
            reason = f": {build.failure}" if build.failure else ""
            print_status(f"The {kind} of {build.name} is {build.state}{reason}.")
    if any(build.state != "done" for build in builds):
        sys.exit(1)
    return builds


@contextmanager
def _show_progress(
    rebuilds: RebuildService, names: Sequence[str], kind: BuildKind
) -> Iterator[Callable[[], None]]:
    """Show a progress bar for each build; yields the callback that refreshes them."""
    from rich.progress import TextColumn

    with progress_bar(TextColumn("{task.fields[pace]}")) as bar:
        tasks = {name: bar.add_task(f"{kind} {name}", total=None, pace="") for name in names}

        def update() -> None:
            builds = rebuilds.status()
            for name, task in tasks.items():
                build = builds[name]
                pace = (
                    f"{build.events:,} of {build.total:,} events, {build.events_per_second:,.0f}/s"
                )
                bar.update(task, total=build.total, completed=build.events, pace=pace)

        yield _throttle(update)
        update()


def _throttle(callback: Callable[[], None], seconds: float = 0.25) -> Callable[[], None]:
    """Return a wrapper that calls the callback at most once in this many seconds."""
    last_call = 0.0

    def call() -> None:
        nonlocal last_call
        if time.monotonic() - last_call > seconds:
            last_call = time.monotonic()
            callback()

    return call


def _projection_row(
    workspace: str, status: ProjectionStatus, build: BuildProgress | None
) -> dict[str, Any]:
    """Return a row; a build is of all workspaces, a position of one."""
    return {
        "workspace": workspace,
        "name": status.name,
        "version": status.version,
        "position": status.position,
        "lag": status.lag,
        "failure": status.failure,
        "build": None
        if build is None
        else f"{build.kind} {build.state}, {build.events:,} of {build.total:,}",
    }


def _compared_tables(build: BuildProgress) -> list[dict[str, Any]]:
    return [] if build.result is None else build.result["tables"]


def _comparison_row(table: dict[str, Any]) -> tuple[Any, ...]:
    return table["table"], table["rows"], table.get("only_live", 0), table.get("only_rebuilt", 0)
