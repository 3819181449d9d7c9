"""The HTTP application: ingest past every framework, everything else by FastAPI."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from interfaces.http.api.deliveries.deliveries import deliveries
from interfaces.http.api.deliveries.endpoints import endpoints
from interfaces.http.api.deliveries.subscriptions import streams
from interfaces.http.api.funnels import goals, saved_funnels
from interfaces.http.api.funnels.funnels import funnels
from interfaces.http.api.ops.keys import access
from interfaces.http.api.ops.projections import projections
from interfaces.http.api.ops.schemas import schemas
from interfaces.http.api.ops.status import operations
from interfaces.http.api.profiles.erasing import erasing
from interfaces.http.api.profiles.history import past
from interfaces.http.api.profiles.merging import merging
from interfaces.http.api.rules.dry_run import rehearsing
from interfaces.http.api.rules.rules import rules
from interfaces.http.api.segments.computed_attributes import computed_attributes
from interfaces.http.api.segments.definition_history import definitions
from interfaces.http.api.segments.manual_lists import lists
from interfaces.http.api.segments.members import members_csv
from interfaces.http.api.segments.preview import previewing
from interfaces.http.api.segments.segments import deciding
from interfaces.http.health import health
from interfaces.http.kit import errors
from interfaces.http.projection_health import Watch
from interfaces.http.queries import add_queries
from interfaces.service import Service

WAIT_SECONDS = 5.0
"""How long a query waits for its ``min_position``."""


class IngestPaths(Protocol):
    """The ASGI application that takes in messages."""

    @property
    def paths(self) -> Container[str]:
        """Which paths are its own."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class Application:
    """Hands each request to ingest or to the native API."""

    def __init__(self, api: FastAPI, ingest: IngestPaths | None) -> None:
        self.api, self.ingest = api, ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            if self.ingest is not None and scope["path"] in self.ingest.paths:
                await self.ingest(scope, receive, send)
                return
            # Routed as sent, so that a %2F within an identifier is not taken for a slash.
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        try:
            await self.api(scope, receive, send)
        except Exception:  # noqa: BLE001 - it has been logged and answered; Starlette raises it again
            return


def create_app(
    service: Service, ingest: IngestPaths | None = None, *, wait_seconds: float = WAIT_SECONDS
) -> Application:
    """Return the ASGI application over the parts of a service."""
    return Application(native_api(service, wait_seconds=wait_seconds), ingest)


def native_api(service: Service, *, wait_seconds: float) -> FastAPI:
    """Return everything that is not ingest: queries, operations, keys, health, documentation."""
    api = FastAPI(
        title="Foldline",
        version="1",
        summary="A self-hosted, event-sourced ledger of customer events",
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    watch = Watch(service)
    driver = service.engine.dialect.loaded_dbapi
    errors.install(api, driver.Error)
    add_queries(api, service, wait_seconds=wait_seconds)
    api.include_router(past(service))
    api.include_router(merging(service))
    api.include_router(previewing(service))
    api.include_router(funnels(service, wait_seconds=wait_seconds))
    api.include_router(goals.routes_of(service, wait_seconds=wait_seconds))
    api.include_router(saved_funnels.deciding(service))
    api.include_router(saved_funnels.results(service, wait_seconds=wait_seconds))
    api.include_router(deciding(service))
    api.include_router(computed_attributes(service))
    api.include_router(definitions(service))
    api.include_router(lists(service))
    api.include_router(members_csv(service))
    api.include_router(rehearsing(service))
    api.include_router(rules(service))
    api.include_router(operations(service, watch))
    api.include_router(projections(service, watch))
    api.include_router(access(service))
    api.include_router(erasing(service))
    api.include_router(endpoints(service))
    api.include_router(deliveries(service))
    api.include_router(streams(service))
    api.include_router(health(service, watch))
    api.include_router(schemas())
    return api
