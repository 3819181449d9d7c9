"""`foldline serve`: runs the API, and the worker unless `--no-worker` is given."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import ALL_SETTINGS, with_settings
from interfaces.settings import Settings

NoWorkerOption = Annotated[
    bool,
    typer.Option(
        "--no-worker",
        help="Run only the API; maintain read models with `foldline worker`.",
    ),
]


@with_settings(*ALL_SETTINGS)
def serve(*, settings: Settings, no_worker: NoWorkerOption = False) -> None:
    """Run the API, and the worker unless --no-worker is given.

    Runs until Ctrl-C or SIGTERM. Starts the embedded PostgreSQL unless --dsn names a server, applies migrations,
    creates the workspace `default` and its keys at the first start (they are printed once), and prints the address
    once requests are accepted. On a stop, running requests are completed; acknowledged events are on disk.
    """
    from interfaces.bootstrap import create_first_keys, open_service, open_supervised_database
    from interfaces.cli import server
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.welcome import print_first_keys
    from interfaces.http.metrics import observe_flush

    with (
        exit_on_signals(),
        server.bind_socket(settings.host, settings.port) as listener,
        open_supervised_database(settings) as reachable,
        open_service(reachable, on_flush=observe_flush) as svc,
    ):
        print_first_keys(create_first_keys(svc), server.listener_url(listener))
        server.run_server(svc, listener, worker=not no_worker)
