"""One of several server processes: what `foldline serve --workers N` starts N times."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from uvicorn.config import STARTUP_FAILURE

from domain.core.errors import FoldlineError
from interfaces.bootstrap import service, set_up_logging
from interfaces.cli.output import say_error
from interfaces.cli.server import prepare_process
from interfaces.cli.signals import end_with_parent
from interfaces.http.app import create_app
from interfaces.http.ingest import Ingest
from interfaces.http.metrics import observe_flush
from interfaces.settings import Settings


def app() -> Any:
    """Return the ASGI application of a process of its own, with settings from the environment."""
    settings = Settings.from_environment()
    set_up_logging(settings.log_level)
    end_with_parent()
    parts = ExitStack()
    try:
        svc = parts.enter_context(service(settings, on_flush=observe_flush))
    except FoldlineError as error:
        say_error(error)
        sys.exit(STARTUP_FAILURE)  # any other code would be tried again for ever
    http = create_app(svc, Ingest(svc))
    prepare_process()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await http(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        parts.close()  # writes what is still waiting for its flush
        await send({"type": "lifespan.shutdown.complete"})

    return serve
