"""The read models' questions as routes: each `Query` of the registry becomes ``GET /v1…``."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Security
from pydantic import Field, create_model
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.core.errors import NotProjectedYet
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import parameters, reader
from interfaces.service import Service
from projections import identity, profile, segments
from projections.runtime.checkpoint import reached
from projections.runtime.projection import Projection, Query, Reader
from projections.sessions import find as find_session

FIRST_POLL, LAST_POLL = 0.01, 0.1
"""Seconds between two looks at a read model that is behind: longer each time, from first to last."""

MinPosition = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**63 - 1,
        description="Wait until the read model has reached this position of the ledger, such as the"
        " one that an ingest reply carries.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The read model has not come as far as was asked for."""

    position: int


def add_queries(api: FastAPI, service: Service, *, wait_seconds: float) -> None:
    """Add a route for each query.  ``min_position`` waits at most ``wait_seconds``."""
    turns = Turns()
    for projection in service.projector.projections:
        for query in projection.queries:
            params = create_model(
                query.params.__name__, __base__=query.params, min_position=(MinPosition, None)
            )
            answer = partial(_answer, service, projection, query)
            api.add_api_route(
                f"/v1{query.path}",
                _endpoint(reader(params, query.path), answer, turns, wait_seconds),
                methods=["GET"],
                summary=query.summary,
                operation_id=re.sub(r"\W+", "_", f"get{query.path}").strip("_"),
                tags=[projection.name],
                response_model=query.answers,
                responses=documented(400, 401, 403, 404, 503),
                dependencies=[Security(allow(service.keys, "read", "admin"))],
                openapi_extra=parameters(params, query.path),
            )


def _endpoint(
    read: Callable[[Request], Any],
    answer: Callable[[int, Any], bytes | Behind],
    turns: Turns,
    wait_seconds: float,
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        asked = read(request)
        workspace = key_of(request).workspace
        return await when_reached(asked.min_position, wait_seconds, turns, answer, workspace, asked)

    return endpoint


async def when_reached(
    position: int | None,
    wait_seconds: float,
    turns: Turns,
    answer: Callable[..., bytes | Behind],
    *asked: Any,
) -> Response:
    """Answer once the read model is there.  Raises NotProjectedYet if that takes too long."""
    until, pause = time.monotonic() + wait_seconds, FIRST_POLL
    while True:
        found = await turns.take(answer, *asked)
        if isinstance(found, bytes):
            return Response(found, media_type="application/json")
        if time.monotonic() > until:
            raise NotProjectedYet(
                f"the read model is at position {found.position}, not yet at"
                f" {position}; ask again shortly",
                position=found.position,
                min_position=position,
                waited_seconds=wait_seconds,
            )
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LAST_POLL)


def _answer(
    service: Service, projection: Projection, query: Query, workspace: int, asked: Any
) -> bytes | Behind:
    """Answer from one snapshot, so that the position is looked at together with the rows."""
    with service.engine.connect() as tx:
        projected_to = reached(tx, workspace, projection, identity.projection)
        if projected_to < (asked.min_position or 0):
            return Behind(position=projected_to)
        asker = reader_of(service, tx, workspace, projected_to)
        return msgspec.json.encode(query.answer(asker, asked), enc_hook=str)


def reader_of(service: Service, tx: Connection, workspace: int, projected_to: int) -> Reader:
    """Return what a question may use."""
    return Reader(
        tx=tx,
        workspace=workspace,
        stream_of=partial(service.ledger.stream_of, workspace),
        person=partial(identity.person, tx, workspace),
        people=partial(identity.people, tx, workspace),
        whose=identity.member,
        session=partial(find_session, tx, workspace),
        persons=partial(identity.persons, tx, workspace),
        names=partial(profile.names, tx, workspace),
        computed=partial(segments.values_of, tx, workspace),
        recorded=partial(service.ledger.at, workspace),
        past=partial(service.ledger.past, workspace),
        projected_to=projected_to,
    )
