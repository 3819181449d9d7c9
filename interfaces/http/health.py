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
from interfaces.http.kit.json import answered
from interfaces.http.projection_health import Progress, Watch
from interfaces.service import Service
from projections import identity

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 3.0
"""How long the database may take to answer a check."""


class Alive(BaseModel):
    """The server turns."""

    status: Literal["ok"] = "ok"


class Reason(BaseModel):
    """Why the server is not fit for work."""

    code: str
    message: str


class Readiness(BaseModel):
    """Whether the server is fit for work."""

    ready: bool
    reasons: list[Reason] = Field(description="Empty when it is.")


def health(service: Service, watch: Watch) -> APIRouter:
    """Return the routes of load balancers and scrapers."""
    routes = APIRouter(tags=["health"], redirect_slashes=False)
    # A database that hangs may hold this many threads, and no more.
    limiter = CapacityLimiter(4)

    async def patiently(work: Callable[[], Any], otherwise: Any) -> Any:
        with move_on_after(PATIENCE_SECONDS):
            return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
        return otherwise

    @routes.get("/healthz/live", summary="The server turns", operation_id="get_live")
    async def live() -> Alive:
        return Alive()

    @routes.get(
        "/healthz/ready",
        summary="The database answers and is safe to write to, and the read models move",
        operation_id="get_ready",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not fit for work, and why"}},
    )
    async def ready() -> Response:
        hangs = Reason(
            code=LedgerUnavailable.code,
            message=f"the database has not answered for {PATIENCE_SECONDS:.0f} seconds",
        )
        reasons = await patiently(lambda: _reasons(service, watch), [hangs])
        return answered(
            Readiness(ready=not reasons, reasons=reasons), status=503 if reasons else 200
        )

    @routes.get(
        "/metrics",
        summary="Counters and gauges in the Prometheus text format",
        operation_id="get_metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def scrape() -> Response:
        up = await patiently(lambda: _measure(service, watch), otherwise=False)
        metrics.DATABASE_UP.set(up)
        metrics.MESSAGES_WAITING.set(service.ledger.waiting)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _reasons(service: Service, watch: Watch) -> list[Reason]:
    try:
        service.gate()
        models = watch.look()
    except UnsafeServer as error:
        return [Reason(code=error.code, message=str(error))]
    except Exception as error:  # noqa: BLE001 - whatever keeps the database from answering
        # Where it is and who connects to it is nobody's business who has no key.
        log.warning("not ready", error=str(error))
        return [Reason(code=LedgerUnavailable.code, message="the database does not answer")]
    return [_stuck(it) for it in models if it.movement == "stalled"]


def _stuck(model: Progress) -> Reason:
    return Reason(
        code="projection_stalled",
        message=f"the read model {model.name} stands at position {model.position}, {model.lag}"
        " events behind, and does not move; the worker's log says why",
    )


def _measure(service: Service, watch: Watch) -> bool:
    try:
        models = watch.look()
        with service.engine.connect() as tx:
            metrics.LARGE_PROFILES.set(identity.count_large(tx))
    except Exception as error:  # noqa: BLE001 - a scrape tells of a broken database, it does not break
        log.warning("not measured", error=str(error))
        return False
    metrics.LEDGER_EVENTS.set(sum({it.workspace: it.head for it in models}.values()))
    for name in {it.name for it in models}:
        ours = [it for it in models if it.name == name]
        metrics.PROJECTION_EVENTS.labels(name).set(sum(it.position for it in ours))
        metrics.PROJECTION_LAG.labels(name).set(max(it.lag for it in ours))
    return True
