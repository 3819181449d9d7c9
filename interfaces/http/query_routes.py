"""Routes of read-model queries: each `Query` of the registry becomes ``GET /v1…``."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from fastapi import FastAPI, Security
from pydantic import BaseModel, Field, WithJsonSchema, WrapValidator, create_model
from starlette.requests import Request
from starlette.responses import Response

from domain.core.errors import NotProjectedYet
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import identity
from projections.runtime.checkpoint import common_position
from projections.runtime.projection import Projection, Query

FIRST_POLL_SECONDS, LAST_POLL_SECONDS = 0.01, 0.1
"""Seconds between two checks of a read model that is behind: grows from first to last."""

HEAD = "head"
"""Value of ``min_position`` that stands for the last position at the time of the request."""

_MAX_POSITION = 2**63 - 1


def _accept_head(value: Any, validate: Callable[[Any], int | None]) -> Any:
    return HEAD if value == HEAD else validate(value)


MinPosition = Annotated[
    int | None,
    Field(
        ge=0,
        le=_MAX_POSITION,
        description="Wait until the read model has applied this position of the ledger, such as the"
        " one in an ingest reply. `head` is the last position at the time of the request.",
    ),
    WrapValidator(_accept_head),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _MAX_POSITION},
                {"type": "string", "const": HEAD},
            ]
        }
    ),
]


@dataclass(frozen=True, kw_only=True)
class ReadModelBehind:
    """The read model has not reached the requested position yet."""

    position: int


def add_query_routes(api: FastAPI, service: Service, *, wait_seconds: float) -> None:
    """Add a route for each query.  ``min_position`` waits at most ``wait_seconds``."""
    limit = ConcurrencyLimit()
    for projection in service.projector.projections:
        for query in projection.queries:
            params = _with_min_position(query.params)
            answer = partial(_answer_query, service, projection, query)
            api.add_api_route(
                f"/v1{query.path}",
                _query_endpoint(
                    service, params_reader(params, query.path), answer, limit, wait_seconds
                ),
                methods=["GET"],
                summary=query.summary,
                operation_id=re.sub(r"\W+", "_", f"get{query.path}").strip("_"),
                tags=[projection.name],
                response_model=query.response_model,
                responses=error_responses(400, 401, 403, 404, 503),
                dependencies=[Security(require_key(service.keys, "read", "admin"))],
                openapi_extra=openapi_parameters(params, query.path),
            )


@cache
def _with_min_position(params: type[BaseModel]) -> type[BaseModel]:
    return create_model(params.__name__, __base__=params, min_position=(MinPosition, None))


def _query_endpoint(
    service: Service,
    read: Callable[[Request], Any],
    answer: Callable[[int, Any, int], bytes | ReadModelBehind],
    limit: ConcurrencyLimit,
    wait_seconds: float,
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        params = read(request)
        workspace = authenticated_key(request).workspace
        position = await resolve_min_position(service, workspace, params.min_position)
        return await wait_for_position(
            position, wait_seconds, limit, answer, workspace, params, position
        )

    return endpoint


async def resolve_min_position(service: Service, workspace: int, min_position: Any) -> int:
    """Return the position to wait for: that of the head for ``head``, 0 for none."""
    if min_position == HEAD:
        return await to_thread.run_sync(service.ledger.head, workspace)
    return int(min_position or 0)


async def wait_for_position(
    position: int,
    wait_seconds: float,
    limit: ConcurrencyLimit,
    answer: Callable[..., bytes | ReadModelBehind],
    *args: Any,
) -> Response:
    """Answer once the read model has reached ``position``.

    Raises NotProjectedYet after ``wait_seconds``.  ``answer`` runs in a thread with ``args`` and returns the body, or `ReadModelBehind`.
    """
    deadline, pause = time.monotonic() + wait_seconds, FIRST_POLL_SECONDS
    while True:
        result = await limit.run(answer, *args)
        if isinstance(result, bytes):
            return Response(result, media_type="application/json")
        if time.monotonic() > deadline:
            raise NotProjectedYet(
                f"the read model is at position {result.position}, min_position is {position};"
                " retry shortly",
                position=result.position,
                min_position=position,
                waited_seconds=wait_seconds,
            )
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LAST_POLL_SECONDS)


def _answer_query(  # noqa: PLR0917 - run in a thread, which takes no keywords
    service: Service,
    projection: Projection,
    query: Query,
    workspace: int,
    params: Any,
    min_position: int,
) -> bytes | ReadModelBehind:
    """Answer from one snapshot, so that position and rows are consistent."""
    with service.engine.connect() as tx:
        projected_to = common_position(tx, workspace, projection, identity.projection)
        if projected_to < min_position:
            return ReadModelBehind(position=projected_to)
        reader = QueryReader(service.ledger, tx, workspace, projected_to)
        return msgspec.json.encode(query.handler(reader, params), enc_hook=str)
