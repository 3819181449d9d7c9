"""`foldline demo`: a server with sample data, on a machine with nothing else installed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from interfaces.cli.options import DATABASE_SETTINGS, with_settings
from interfaces.cli.output import print_status
from interfaces.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime
    from socket import socket

    from application.ledger.tables.keys import CreatedKey
    from interfaces.cli.sample_data import Message
    from interfaces.service import Service

WORKSPACE = "demo"
BATCH_MESSAGES = 500

NoServeOption = Annotated[
    bool, typer.Option("--no-serve", help="Stop once everything is loaded; for scripts and tests.")
]

COMMANDS = """\
curl -s $URL/v1/track -u $WRITE_KEY: -d '{"event": "product_viewed", "userId": "ada", "properties": {"category": "lamp"}}'
curl -s "$URL/v1/profiles/user_id:ada?min_position=head" -H "Authorization: Bearer $READ_KEY"
curl -s "$URL/v1/profiles/user_id:ada/timeline?limit=3&min_position=head" -H "Authorization: Bearer $READ_KEY"
curl -s "$URL/v1/segments/big-spenders/explain/user_id:ada?min_position=head" -H "Authorization: Bearer $READ_KEY"
curl -s "$URL/v1/funnels/checkout/result?min_position=head" -H "Authorization: Bearer $READ_KEY"
curl -s "$URL/v1/rules/left-in-the-cart/triggers?limit=3&min_position=head" -H "Authorization: Bearer $READ_KEY"
"""
"""Six commands to paste at once after the `export` lines: each waits for what was recorded before it."""


@with_settings(*DATABASE_SETTINGS, "host", "port")
def demo(*, settings: Settings, no_serve: NoServeOption = False) -> None:
    """Serve sample data: a shop with 300 customers, segments, a funnel and rules.

    Everything is in a workspace of its own, `demo`. Running it again adds only what has happened since.
    The database is the embedded one under --home unless --dsn names another. Ctrl-C stops it.
    """
    from application.ledger.tables.keys import KEY_KINDS
    from interfaces.bootstrap import open_service, open_supervised_database
    from interfaces.cli import server
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import catch_up_with_progress
    from interfaces.http.metrics import observe_flush

    listening = nullcontext() if no_serve else _bind_socket(settings)
    print_status("Opening the database; the first start takes a few seconds.")
    with (
        listening as listener,
        open_supervised_database(settings) as reachable,
        open_service(reachable, on_flush=observe_flush) as svc,
    ):
        workspace = _demo_workspace(svc)
        _load(svc, workspace)
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
    """Bind the port, or any free one if it is in use."""
    from interfaces.cli import server

    return server.bind_socket(settings.host, settings.port, or_any=True)


def _demo_workspace(svc: Service) -> int:
    from domain.core.errors import NotFound

    try:
        return svc.workspaces.by_name(WORKSPACE).id
    except NotFound:
        return svc.workspaces.create(WORKSPACE).id


def _load(svc: Service, workspace: int) -> None:
    """Define, record and merge the sample data; what is there already adds nothing.

    Definitions come first: a rule acts on what is recorded after it was enabled.
    """
    from datetime import UTC, datetime

    from interfaces.cli import demo_definitions, sample_data, sample_profiles

    now = datetime.now(UTC)
    demo_definitions.define_all(svc, workspace)
    messages = [*sample_data.sample_messages(now), *sample_profiles.named_messages(now)]
    recorded = _record(svc, workspace, messages, now)
    sample_profiles.merge_old_account(svc, workspace)
    late = sample_profiles.late_messages(now)
    recorded += _record(svc, workspace, late, now)
    known = len(messages) + len(late) - recorded
    print_status(f"{recorded:,} sample messages recorded, {known:,} were there already.")
    print_status(
        f"The ledger has {svc.ledger.head(workspace):,} events: messages, links of identifiers, a merge and definitions."
    )


def _record(svc: Service, workspace: int, messages: Sequence[Message], now: datetime) -> int:
    """Record messages in batches as an SDK sends them; return how many were new."""
    from uuid import uuid4

    import msgspec

    from interfaces.cli.output import progress_bar
    from interfaces.wire.base import WireLimits
    from interfaces.wire.segment.bodies import parse_batch

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
    return recorded


def _print_next_steps(keys: Sequence[CreatedKey], url: str) -> None:
    from interfaces.cli.welcome import format_exports

    typer.echo(f"""
Keys of workspace `demo`, made for this run. Paste this into another terminal:

{format_exports(url, keys)}

Then send an event and ask about Ada, one of the sample customers:

{COMMANDS}
Or open:

  {url}/docs             the API, to try in the browser
  {url}/v1/status        progress of the read models (with the read key)
  {url}/healthz/ready    readiness
""")
