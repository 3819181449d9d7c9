"""`foldline demo`: a running Foldline with sample customers, on a machine with nothing else installed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, with_settings
from interfaces.cli.output import print_status
from interfaces.settings import Settings

if TYPE_CHECKING:
    from socket import socket

    from application.ledger.tables.keys import CreatedKey
    from interfaces.service import Service

WORKSPACE = "demo"
BATCH_MESSAGES = 500

NoServeOption = Annotated[
    bool, typer.Option("--no-serve", help="Stop once everything is loaded; for scripts and tests.")
]


@with_settings(*DATABASE_SETTINGS, "host", "port")
def demo(*, settings: Settings, no_serve: NoServeOption = False) -> None:
    """Look around, with sample customers.

    About 300 customers of a small shop, and what they did in the last 30 days. Everything is in a workspace of its own, `demo`. Running it again adds only what has happened since.
    The database is the embedded one under --home unless --dsn names another. Ctrl-C stops it.
    """
    from application.ledger.tables.keys import KEY_KINDS
    from interfaces.bootstrap import open_database, open_service
    from interfaces.cli import server
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import catch_up_with_progress
    from interfaces.http.metrics import observe_flush

    listening = nullcontext() if no_serve else _bind_socket(settings)
    print_status("Opening the database; the first start takes a few seconds.")
    with (
        listening as listener,
        open_database(settings) as reachable,
        open_service(reachable, on_flush=observe_flush) as svc,
    ):
        workspace = _demo_workspace(svc)
        _record_sample(svc, workspace)
        catch_up_with_progress(svc, workspace)
        keys = [svc.keys.create(workspace, kind) for kind in KEY_KINDS]
        here = f"http://{settings.host}:{settings.port}"
        _print_next_steps(keys, here if listener is None else server.listener_url(listener))
        if listener is None:
            print_status("`foldline serve` serves it.")
        else:
            with exit_on_signals():
                server.run_server(svc, listener, worker=True)


def _bind_socket(settings: Settings) -> AbstractContextManager[socket]:
    """Take the port, or any free one if it is taken: whoever tries a demo has other things running."""
    from interfaces.cli import server

    return server.bind_socket(settings.host, settings.port, or_any=True)


def _demo_workspace(svc: Service) -> int:
    from domain.core.errors import NotFound

    try:
        return svc.workspaces.by_name(WORKSPACE).id
    except NotFound:
        return svc.workspaces.create(WORKSPACE).id


def _record_sample(svc: Service, workspace: int) -> None:
    """Record the sample messages; those that were recorded before add nothing."""
    from datetime import UTC, datetime
    from uuid import uuid4

    import msgspec

    from interfaces.cli import sample_data
    from interfaces.cli.output import progress_bar
    from interfaces.wire.base import WireLimits
    from interfaces.wire.segment import parse_batch

    now = datetime.now(UTC)
    messages = sample_data.sample_messages(now)
    recorded = 0
    with progress_bar() as bar:
        task = bar.add_task("Recording sample events", total=len(messages))
        for start in range(0, len(messages), BATCH_MESSAGES):
            batch = messages[start : start + BATCH_MESSAGES]
            body = msgspec.json.encode({"batch": batch})
            parsed = parse_batch(
                body, received_at=now, limits=WireLimits(), default_id=lambda: f"demo-{uuid4()}"
            )
            assert not parsed.rejections, parsed.rejections
            recorded += svc.ledger.record(workspace, parsed.messages).result().recorded
            bar.advance(task, len(batch))
    print_status(
        f"{recorded:,} sample events recorded, {len(messages) - recorded:,} were there already."
    )


def _print_next_steps(keys: list[CreatedKey], url: str) -> None:
    from interfaces.cli.welcome import format_curl_commands, format_keys

    read = next(key.text for key in keys if key.kind == "read")
    bought = "-d name=order_completed --data-urlencode 'where=properties.items[].type=monitor'"
    typer.echo(f"""
Keys of workspace `demo`, made for this run:

{format_keys(keys)}

Send an event, read it back, and ask who bought a monitor:

{format_curl_commands(url, keys)}
  curl -G {url}/v1/events {bought} -H 'Authorization: Bearer {read}'

Or look at:

  {url}/docs             the API, to try in the browser
  {url}/v1/status        how far the read models are (with the read key)
  {url}/healthz/ready    whether it is fit for work
""")
