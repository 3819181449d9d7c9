"""`foldline projections`: how far the read models are, building them anew, and comparing them."""

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
    from interfaces.service import Service
    from projections.rebuild.progress import BuildProgress
    from projections.rebuild.service import RebuildService
    from projections.runtime.build_tables import BuildKind

app = typer.Typer(
    name="projections",
    help="List read models, build them anew, verify them.\n\n"
    "A read model is built anew beside the one that answers, and takes its place once it has caught up."
    " Nothing is sent or triggered by it.",
    no_args_is_help=True,
)

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]", help="Read models, see `list`; all of them if none is named."
    ),
]


@app.command("list")
@with_settings(*DATABASE_SETTINGS)
def list_projections(*, settings: Settings, as_json: JsonOption = False) -> None:
    """List the read models: how far each is behind the ledger, and its last build."""
    from interfaces.cli.database_context import connected_service
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        builds = RebuildService(svc.projector).status()
        rows = [
            _projection_row(svc, it.name, it.version, builds) for it in svc.projector.projections
        ]
    if as_json:
        print_json({"projections": rows})
        return
    columns = ("name", "version", "position", "lag", "failure", "build")
    print_table(columns, [[row[it] for it in columns] for row in rows])


@app.command()
@with_settings(*DATABASE_SETTINGS)
def rebuild(
    *,
    settings: Settings,
    names: NamesArgument = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Do not go on with what a cancelled build left.")
    ] = False,
) -> None:
    """Build read models anew, and put each in its place once it has caught up.

    Several are built at the same time, on all cores. The old ones answer until then. Ctrl-C stops it; the next `rebuild` goes on
    where it stood, and so does a worker.
    """
    _request_and_run(settings, names, "rebuild", anew=anew)
    print_status("Done: the new tables answer.")


@app.command()
@with_settings(*DATABASE_SETTINGS)
def verify(*, settings: Settings, names: NamesArgument, as_json: JsonOption = False) -> None:
    """Build read models anew aside and compare: every row must be the same.  Exits 1 if one is not."""
    builds = _request_and_run(settings, names, "verify")
    if as_json:
        print_json({it.name: it.result for it in builds})
    else:
        rows = [
            (it.name, *_comparison_row(table)) for it in builds for table in _compared_tables(it)
        ]
        print_table(["name", "table", "rows", "only live", "only rebuilt"], rows)
    if not all(it.result is not None and it.result["same"] for it in builds):
        print_status(
            "They differ: `foldline projections rebuild NAME` puts the rebuilt rows in place."
        )
        sys.exit(1)


@app.command()
@with_settings(*DATABASE_SETTINGS)
def cancel(
    *,
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which read model's build.")],
    discard: Annotated[
        bool, typer.Option("--discard", help="Drop what it has built, too.")
    ] = False,
) -> None:
    """Stop a build, whoever works on it.  What it has built stays for the next, unless --discard."""
    from interfaces.cli.database_context import connected_service
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        stopped = RebuildService(svc.projector).cancel(name, discard=discard)
    print_status(
        f"The build of {name} is cancelled." if stopped else f"No build of {name} was under way."
    )


def _request_and_run(
    settings: Settings, names: Iterable[str] | None, kind: BuildKind, *, anew: bool = False
) -> list[BuildProgress]:
    """Ask for builds and work on them, or watch whoever does, until all are done."""
    from interfaces.cli.database_context import connected_service
    from interfaces.cli.parallel_rebuild import run_builds
    from projections.rebuild.service import RebuildService

    with connected_service(settings) as svc:
        lifecycle = RebuildService(svc.projector)
        asked = [it.name for it in lifecycle.by_name(list(names or ()))]
        lifecycle.request(asked, kind, restart=anew)
        with _show_progress(lifecycle, asked, kind) as told:
            run_builds(svc, asked, told)
        builds = [lifecycle.status()[name] for name in asked]
    for it in builds:
        if it.state != "done":
            print_status(
                f"The {kind} of {it.name} is {it.state}{f': {it.failure}' if it.failure else ''}."
            )
    if any(it.state != "done" for it in builds):
        sys.exit(1)
    return builds


@contextmanager
def _show_progress(
    lifecycle: RebuildService, names: Sequence[str], kind: BuildKind
) -> Iterator[Callable[[], None]]:
    """Show how far each build is; gives what is to be called whenever that may have changed."""
    from rich.progress import TextColumn

    with progress_bar(TextColumn("{task.fields[pace]}")) as bar:
        tasks = {it: bar.add_task(f"{kind} {it}", total=None, pace="") for it in names}

        def update() -> None:
            builds = lifecycle.status()
            for name, task in tasks.items():
                it = builds[name]
                pace = f"{it.events:,} of {it.total:,} events, {it.events_per_second:,.0f}/s"
                bar.update(task, total=it.total, completed=it.events, pace=pace)

        yield _throttle(update)
        update()


def _throttle(callback: Callable[[], None], seconds: float = 0.25) -> Callable[[], None]:
    """Return what calls it, but not so often that it costs."""
    last = 0.0

    def call() -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            callback()

    return call


def _projection_row(
    svc: Service, name: str, version: int, builds: dict[str, BuildProgress]
) -> dict[str, Any]:
    standing = [it for it in svc.projector.status() if it.name == name]
    it = builds.get(name)
    return {
        "name": name,
        "version": version,
        "position": sum(one.position for one in standing),
        "lag": sum(one.lag for one in standing),
        "failure": next((one.failure for one in standing if one.failure), None),
        "build": None if it is None else f"{it.kind} {it.state}, {it.events:,} of {it.total:,}",
    }


def _compared_tables(build: BuildProgress) -> list[dict[str, Any]]:
    return [] if build.result is None else build.result["tables"]


def _comparison_row(table: dict[str, Any]) -> tuple[Any, ...]:
    return table["table"], table["rows"], table.get("only_live", 0), table.get("only_rebuilt", 0)
