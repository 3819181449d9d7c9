"""Liveness, readiness and metrics: for load balancers and scrapers, without a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import structlog
from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.responses import Response

from domain.core.errors import LedgerUnavailable, UnsafeServer
from interfaces.http import metrics
from interfaces.http.kit.json_response import json_response
from interfaces.http.projection_health import ProjectionHealth, ProjectionMonitor
from interfaces.service import Service
from projections import identity

log = structlog.get_logger(__name__)

DATABASE_TIMEOUT_SECONDS = 3.0
"""Longest wait for the database in a check."""


class Liveness(BaseModel):
    """Liveness."""

    status: Literal["ok"] = "ok"


class ReadinessReason(BaseModel):
    """A reason why the server is not ready."""

    code: str
    message: str


class Readiness(BaseModel):
    """Readiness of the server."""

    ready: bool
    reasons: list[ReadinessReason] = Field(description="Empty when ready.")


def health_routes(service: Service, monitor: ProjectionMonitor) -> APIRouter:
    """Build the routes of `/healthz` and `/metrics`."""
    routes = APIRouter(tags=["health"], redirect_slashes=False)
    # At most this many threads wait for a database that hangs.
    limiter = CapacityLimiter(4)

    async def with_timeout(work: Callable[[], Any], default: Any) -> Any:
        with move_on_after(DATABASE_TIMEOUT_SECONDS):
            return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
        return default

    @routes.get("/healthz/live", summary="Liveness", operation_id="get_liveness")
    async def get_liveness() -> Liveness:
        return Liveness()

    @routes.get(
        "/healthz/ready",
        summary="Readiness: the database answers, is safe to write to, and no read model is stalled",
        operation_id="get_readiness",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not ready; the reasons say why"}},
    )
    async def get_readiness() -> Response:
        timeout = ReadinessReason(
            code=LedgerUnavailable.code,
            message=f"the database did not answer within {DATABASE_TIMEOUT_SECONDS:.0f} seconds",
        )
        reasons = await with_timeout(lambda: _readiness_reasons(service, monitor), [timeout])
        return json_response(
            Readiness(ready=not reasons, reasons=reasons), status=503 if reasons else 200
        )

    @routes.get(
        "/metrics",
        summary="Counters and gauges in the Prometheus text format",
        operation_id="get_metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_metrics() -> Response:
        up = await with_timeout(lambda: _update_metrics(service, monitor), default=False)
        metrics.DATABASE_UP.set(up)
        metrics.MESSAGES_WAITING.set(service.ledger.commits.queued_messages)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _readiness_reasons(service: Service, monitor: ProjectionMonitor) -> list[ReadinessReason]:
    try:
        service.check_database()
        read_models = monitor.health()
    except UnsafeServer as error:
        return [ReadinessReason(code=error.code, message=str(error))]
    except Exception as error:  # noqa: BLE001 - any failure means that the database is unavailable
        # The error may contain host and role: it goes to the log, as this route needs no key.
        log.warning("readiness_check_failed", error=str(error))
        return [ReadinessReason(code=LedgerUnavailable.code, message="the database is unavailable")]
    return [_stalled_reason(model) for model in read_models if model.movement == "stalled"]


def _stalled_reason(model: ProjectionHealth) -> ReadinessReason:
    return ReadinessReason(
        code="projection_stalled",
        message=f"the read model {model.name} is stalled at position {model.position}, {model.lag}"
        " events behind; see the worker's log",
    )


def _update_metrics(service: Service, monitor: ProjectionMonitor) -> bool:
    try:
        read_models = monitor.health()
        with service.engine.connect() as tx:
            metrics.LARGE_PROFILES.set(identity.count_large_profiles(tx))
    except Exception as error:  # noqa: BLE001 - a scrape reports a broken database and does not fail
        log.warning("metrics_collection_failed", error=str(error))
        return False
    metrics.LEDGER_EVENTS.set(sum({model.workspace: model.head for model in read_models}.values()))
    for name in {model.name for model in read_models}:
        same_name = [model for model in read_models if model.name == name]
        metrics.PROJECTION_EVENTS.labels(name).set(sum(model.position for model in same_name))
        metrics.PROJECTION_LAG.labels(name).set(max(model.lag for model in same_name))
    return True
