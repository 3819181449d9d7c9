"""Whether the server lives, whether it is fit for work, and what it counts: for machines, without a key."""

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
"""How long the database may take to answer a check."""


class Liveness(BaseModel):
    """The server turns."""

    status: Literal["ok"] = "ok"


class ReadinessReason(BaseModel):
    """Why the server is not fit for work."""

    code: str
    message: str


class Readiness(BaseModel):
    """Whether the server is fit for work."""

    ready: bool
    reasons: list[ReadinessReason] = Field(description="Empty when it is.")


def health_routes(service: Service, watch: ProjectionMonitor) -> APIRouter:
    """Return the routes of load balancers and scrapers."""
    routes = APIRouter(tags=["health"], redirect_slashes=False)
    # A database that hangs may hold this many threads, and no more.
    limiter = CapacityLimiter(4)

    async def with_timeout(work: Callable[[], Any], default: Any) -> Any:
        with move_on_after(DATABASE_TIMEOUT_SECONDS):
            return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
        return default

    @routes.get("/healthz/live", summary="The server turns", operation_id="get_live")
    async def get_liveness() -> Liveness:
        return Liveness()

    @routes.get(
        "/healthz/ready",
        summary="The database answers and is safe to write to, and the read models move",
        operation_id="get_ready",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not fit for work, and why"}},
    )
    async def get_readiness() -> Response:
        hangs = ReadinessReason(
            code=LedgerUnavailable.code,
            message=f"the database has not answered for {DATABASE_TIMEOUT_SECONDS:.0f} seconds",
        )
        reasons = await with_timeout(lambda: _readiness_reasons(service, watch), [hangs])
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
        up = await with_timeout(lambda: _update_metrics(service, watch), default=False)
        metrics.DATABASE_UP.set(up)
        metrics.MESSAGES_WAITING.set(service.ledger.queued_messages)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _readiness_reasons(service: Service, watch: ProjectionMonitor) -> list[ReadinessReason]:
    try:
        service.check_database()
        models = watch.health()
    except UnsafeServer as error:
        return [ReadinessReason(code=error.code, message=str(error))]
    except Exception as error:  # noqa: BLE001 - whatever keeps the database from answering
        # Where it is and who connects to it is nobody's business who has no key.
        log.warning("not ready", error=str(error))
        return [
            ReadinessReason(code=LedgerUnavailable.code, message="the database does not answer")
        ]
    return [_stalled_reason(it) for it in models if it.movement == "stalled"]


def _stalled_reason(model: ProjectionHealth) -> ReadinessReason:
    return ReadinessReason(
        code="projection_stalled",
        message=f"the read model {model.name} stands at position {model.position}, {model.lag}"
        " events behind, and does not move; the worker's log says why",
    )


def _update_metrics(service: Service, watch: ProjectionMonitor) -> bool:
    try:
        models = watch.health()
        with service.engine.connect() as tx:
            metrics.LARGE_PROFILES.set(identity.count_large_profiles(tx))
    except Exception as error:  # noqa: BLE001 - a scrape tells of a broken database, it does not break
        log.warning("not measured", error=str(error))
        return False
    metrics.LEDGER_EVENTS.set(sum({it.workspace: it.head for it in models}.values()))
    for name in {it.name for it in models}:
        ours = [it for it in models if it.name == name]
        metrics.PROJECTION_EVENTS.labels(name).set(sum(it.position for it in ours))
        metrics.PROJECTION_LAG.labels(name).set(max(it.lag for it in ours))
    return True
