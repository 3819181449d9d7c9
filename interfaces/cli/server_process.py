"""A server process: `foldline serve --workers N` starts N of them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from uvicorn.config import STARTUP_FAILURE

from domain.core.errors import FoldlineError
from interfaces.bootstrap import open_service
from interfaces.cli.output import print_error
from interfaces.cli.server import tune_interpreter
from interfaces.cli.signals import exit_with_parent
from interfaces.http.app import create_app
from interfaces.http.ingest import Ingest
from interfaces.http.metrics import observe_flush
from interfaces.logs import configure_logging
from interfaces.settings import Settings


def app() -> Any:
    """Return the ASGI application of this process, with settings from the environment."""
    settings = Settings.from_environment()
    configure_logging(settings.log_level)
    exit_with_parent()
    resources = ExitStack()
    try:
        svc = resources.enter_context(open_service(settings, on_flush=observe_flush))
    except FoldlineError as error:
        print_error(error)
        sys.exit(
            STARTUP_FAILURE
        )  # the supervisor restarts a process that exits with any other code
    http = create_app(svc, Ingest(svc))
    tune_interpreter()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await http(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        resources.close()  # writes the events that still wait for a flush
        await send({"type": "lifespan.shutdown.complete"})

    return serve
