"""Everybody in a segment as a CSV, from one moment of the read model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from threading import BoundedSemaphore
from typing import Any

from fastapi import APIRouter, Security
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.core.errors import Overloaded
from domain.core.identifiers import STRENGTH
from interfaces.http.api.segments.segments import PATH, Which
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.csv import CSV, lines
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import parameters, reader
from interfaces.http.queries import reader_of
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.runtime.checkpoint import reached

MEMBERS_CSV = f"{PATH}/members.csv"
COLUMNS = ("profile_id", *STRENGTH, "entered_at")
PAGE = 1_000
AT_ONCE = 2
"""Files that are written at the same time; each keeps a connection as long as its reader takes."""


class Everybody(Which):
    """Whose members, and when."""

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Who was in it at this position or instant (a date or time without offset is UTC)",
    )


def members_csv(service: Service) -> APIRouter:
    """Return the route that gives all members of a segment as a file."""
    turns, free = Turns(), BoundedSemaphore(AT_ONCE)
    read = reader(Everybody, MEMBERS_CSV)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(allow(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )

    def begun(workspace: int, asked: Everybody) -> Iterator[bytes]:
        """Write until the first page, so that what is not there is answered as such."""
        pages = table(service, workspace, asked.id, asked.as_of, free)
        return chain([next(pages)], pages)

    @routes.get(
        MEMBERS_CSV,
        summary="Everybody in a segment as a CSV, those who entered last first",
        operation_id="get_segment_members_csv",
        response_class=StreamingResponse,
        responses={
            **documented(400, 401, 403, 404, 503),
            200: {"content": {CSV: {"schema": {"type": "string"}}}},
        },
        openapi_extra=parameters(Everybody, MEMBERS_CSV),
    )
    async def members(request: Request) -> Response:
        asked = read(request)
        pages = await turns.take(begun, key_of(request).workspace, asked)
        return StreamingResponse(
            pages,
            media_type=CSV,
            headers={"Content-Disposition": f'attachment; filename="{asked.id}.csv"'},
        )

    return routes


def table(
    service: Service,
    workspace: int,
    segment: str,
    as_of: str | None = None,
    free: BoundedSemaphore | None = None,
) -> Iterator[bytes]:
    """Give out the lines of everybody in a segment, some at a time, all from one snapshot.

    Several names of a kind are in one cell, ``; `` between them.  Raises NotFound, and Overloaded
    unless ``free`` lets it begin.
    """
    free = free or BoundedSemaphore()
    if not free.acquire(blocking=False):
        raise Overloaded("other files are being written; ask again shortly", at_once=AT_ONCE)
    try:
        with service.engine.connect() as tx:
            position = reached(tx, workspace, segments.projection, identity)
            asker = reader_of(service, tx, workspace, position)
            heading = [COLUMNS]
            for page in segments.pages_of_members(asker, segment, as_of, PAGE):
                yield lines([*heading, *map(_row, page)])
                heading = []
    finally:
        free.release()


def _row(member: dict[str, Any]) -> list[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for it in member["identifiers"]:
        names[it["kind"]].append(it["value"])
    return [
        str(member["profile_id"]),
        *("; ".join(names[kind]) for kind in STRENGTH),
        member["entered"]["at"],
    ]
