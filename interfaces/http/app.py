"""ASGI application: ingest without a framework, everything else with FastAPI."""

from __future__ import annotations

from typing import Protocol

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from interfaces.http.api.definitions import DEFINITIONS
from interfaces.http.api.deliveries.deliveries import delivery_routes
from interfaces.http.api.deliveries.endpoints import endpoint_routes
from interfaces.http.api.deliveries.subscriptions import subscription_routes
from interfaces.http.api.ops.keys import key_routes
from interfaces.http.api.ops.projections import projection_routes
from interfaces.http.api.ops.published_schemas import schema_routes
from interfaces.http.api.ops.rejected import rejected_routes
from interfaces.http.api.ops.status import status_routes
from interfaces.http.api.profiles.erasure import erasure_routes
from interfaces.http.api.profiles.history import profile_history_routes
from interfaces.http.api.profiles.merge import merge_routes
from interfaces.http.api.questions import QUESTIONS
from interfaces.http.api.segments.manual_lists import manual_list_routes
from interfaces.http.api.segments.members_csv import members_csv_routes
from interfaces.http.health import health_routes
from interfaces.http.kit import errors
from interfaces.http.kit.definition_routes import definition_routes
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.http.query_routes import add_query_routes
from interfaces.http.questions import question_routes
from interfaces.service import Service

WAIT_SECONDS = 5.0
"""Longest wait of a query for its ``min_position``."""


class IngestRoutes(Protocol):
    """The paths at which messages are ingested."""

    def find(self, raw_path: bytes) -> ASGIApp | None:
        """Return the application of a percent-encoded path, or None for the native API's."""
        ...


class Application:
    """Dispatches each request to ingest or to the native API."""

    def __init__(self, api: FastAPI, ingest: IngestRoutes | None) -> None:
        self.api, self.ingest = api, ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            found = self.ingest.find(scope["raw_path"]) if self.ingest is not None else None
            if found is not None:
                await found(scope, receive, send)
                return
            # Routed by the raw path, so that a %2F within an identifier is not read as a slash.
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        try:
            await self.api(scope, receive, send)
        except Exception:  # noqa: BLE001 - already logged and answered; Starlette raises it again
            return


def create_app(
    service: Service, ingest: IngestRoutes | None = None, *, wait_seconds: float = WAIT_SECONDS
) -> Application:
    """Build the ASGI application of a service.  Without ``ingest`` only the native API answers."""
    return Application(build_api(service, wait_seconds=wait_seconds), ingest)


def build_api(service: Service, *, wait_seconds: float) -> FastAPI:
    """Build the native API: queries, commands, operations, health and documentation."""
    api = FastAPI(
        title="Foldline",
        version="1",
        summary="A self-hosted, event-sourced ledger of customer events",
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    monitor = ProjectionMonitor(service)
    driver = service.engine.dialect.loaded_dbapi
    errors.install_error_handlers(api, driver.Error)
    add_query_routes(api, service, wait_seconds=wait_seconds)
    api.include_router(profile_history_routes(service))
    api.include_router(merge_routes(service))
    api.include_router(question_routes(service, QUESTIONS, wait_seconds=wait_seconds))
    for resource in DEFINITIONS:
        api.include_router(definition_routes(service, resource))
    api.include_router(manual_list_routes(service))
    api.include_router(members_csv_routes(service))
    api.include_router(status_routes(service, monitor))
    api.include_router(rejected_routes(service))
    api.include_router(projection_routes(service, monitor))
    api.include_router(key_routes(service))
    api.include_router(erasure_routes(service))
    api.include_router(endpoint_routes(service))
    api.include_router(delivery_routes(service))
    api.include_router(subscription_routes(service))
    api.include_router(health_routes(service, monitor))
    api.include_router(schema_routes())
    return api
