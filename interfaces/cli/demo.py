"""`foldline demo`: a running Foldline with sample customers, on a machine with nothing else installed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import ANY_COMMAND, takes
from interfaces.cli.output import say
from interfaces.settings import Settings

if TYPE_CHECKING:
    from socket import socket

    from application.ledger.tables.keys import NewKey
    from interfaces.service import Service

WORKSPACE = "demo"
BATCH = 500

NoServe = Annotated[
    bool, typer.Option("--no-serve", help="Stop once everything is loaded; for scripts and tests.")
]


@takes(*ANY_COMMAND, "host", "port")
def demo(*, settings: Settings, no_serve: NoServe = False) -> None:
    """Look around, with sample customers.

    About 300 customers of a small shop, and what they did in the last 30 days. Everything is in a workspace of its own, `demo`. Running it again adds only what has happened since.
    The database is the embedded one under --home unless --dsn names another. Ctrl-C stops it.
    """
    from application.ledger.tables.keys import KINDS
    from interfaces.bootstrap import database, service
    from interfaces.cli import server
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import project_to_the_end
    from interfaces.http.metrics import observe_flush

    listening = nullcontext() if no_serve else _bound(settings)
    say("Opening the database; the first start takes a few seconds.")
    with (
        listening as listener,
        database(settings) as reachable,
        service(reachable, on_flush=observe_flush) as svc,
    ):
        workspace = _workspace(svc)
        _load(svc, workspace)
        project_to_the_end(svc, workspace)
        keys = [svc.keys.create(workspace, kind) for kind in KINDS]
        here = f"http://{settings.host}:{settings.port}"
        _explain(keys, here if listener is None else server.url_of(listener))
        if listener is None:
            say("`foldline serve` serves it.")
        else:
            with exit_on_signals():
                server.run(svc, listener, worker=True)


def _bound(settings: Settings) -> AbstractContextManager[socket]:
    """Take the port, or any free one if it is taken: whoever tries a demo has other things running."""
    from interfaces.cli import server

    return server.bound(settings.host, settings.port, or_any=True)


def _workspace(svc: Service) -> int:
    from domain.core.errors import NotFound

    try:
        return svc.workspaces.by_name(WORKSPACE).id
    except NotFound:
        return svc.workspaces.create(WORKSPACE).id


def _load(svc: Service, workspace: int) -> None:
    """Record the sample messages; those that were recorded before add nothing."""
    from datetime import UTC, datetime
    from uuid import uuid4

    import msgspec

    from interfaces.cli import sample
    from interfaces.cli.output import progress
    from interfaces.wire.base import Limits
    from interfaces.wire.segment import parse_batch

    now = datetime.now(UTC)
    messages = sample.messages(now)
    recorded = 0
    with progress() as bar:
        task = bar.add_task("Recording sample events", total=len(messages))
        for start in range(0, len(messages), BATCH):
            batch = messages[start : start + BATCH]
            body = msgspec.json.encode({"batch": batch})
            parsed = parse_batch(
                body, received_at=now, limits=Limits(), default_id=lambda: f"demo-{uuid4()}"
            )
            assert not parsed.rejections, parsed.rejections
            recorded += svc.ledger.record(workspace, parsed.messages).result().recorded
            bar.advance(task, len(batch))
    say(f"{recorded:,} sample events recorded, {len(messages) - recorded:,} were there already.")


def _explain(keys: list[NewKey], url: str) -> None:
    from interfaces.cli.welcome import curls_text, keys_text

    read = next(key.text for key in keys if key.kind == "read")
    bought = "-d name=order_completed --data-urlencode 'where=properties.items[].type=monitor'"
    typer.echo(f"""
Keys of workspace `demo`, made for this run:

{keys_text(keys)}

Send an event, read it back, and ask who bought a monitor:

{curls_text(url, keys)}
  curl -G {url}/v1/events {bought} -H 'Authorization: Bearer {read}'

Or look at:

  {url}/docs             the API, to try in the browser
  {url}/v1/status        how far the read models are (with the read key)
  {url}/healthz/ready    whether it is fit for work
""")
