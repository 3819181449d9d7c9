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
from domain.core.identifiers import KINDS_BY_STRENGTH
from interfaces.http.api.segments.segments import PATH, SegmentPath
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.csv_response import CSV_MEDIA_TYPE, encode_csv
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.http.query_routes import query_reader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.runtime.checkpoint import common_position

MEMBERS_CSV_PATH = f"{PATH}/members.csv"
CSV_COLUMNS = ("profile_id", *KINDS_BY_STRENGTH, "entered_at")
PAGE_SIZE = 1_000
MAX_CONCURRENT_EXPORTS = 2
"""Files that are written at the same time; each keeps a connection as long as its reader takes."""


class MembersCsvParams(SegmentPath):
    """Whose members, and when."""

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Who was in it at this position or instant (a date or time without offset is UTC)",
    )


def members_csv_routes(service: Service) -> APIRouter:
    """Return the route that gives all members of a segment as a file."""
    turns, free = ConcurrencyLimit(), BoundedSemaphore(MAX_CONCURRENT_EXPORTS)
    read = params_reader(MembersCsvParams, MEMBERS_CSV_PATH)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )

    def start_export(workspace: int, params: MembersCsvParams) -> Iterator[bytes]:
        """Write until the first page, so that what is not there is answered as such."""
        pages = export_members(service, workspace, params.id, params.as_of, free)
        return chain([next(pages)], pages)

    @routes.get(
        MEMBERS_CSV_PATH,
        summary="Everybody in a segment as a CSV, those who entered last first",
        operation_id="get_segment_members_csv",
        response_class=StreamingResponse,
        responses={
            **error_responses(400, 401, 403, 404, 503),
            200: {"content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        },
        openapi_extra=openapi_parameters(MembersCsvParams, MEMBERS_CSV_PATH),
    )
    async def get_members_csv(request: Request) -> Response:
        asked = read(request)
        pages = await turns.run(start_export, authenticated_key(request).workspace, asked)
        return StreamingResponse(
            pages,
            media_type=CSV_MEDIA_TYPE,
            headers={"Content-Disposition": f'attachment; filename="{asked.id}.csv"'},
        )

    return routes


def export_members(
    service: Service,
    workspace: int,
    segment: str,
    as_of: str | None = None,
    slots: BoundedSemaphore | None = None,
) -> Iterator[bytes]:
    """Give out the lines of everybody in a segment, some at a time, all from one snapshot.

    Several names of a kind are in one cell, ``; `` between them.  Raises NotFound, and Overloaded
    unless ``free`` lets it begin.
    """
    slots = slots or BoundedSemaphore()
    if not slots.acquire(blocking=False):
        raise Overloaded(
            "other files are being written; ask again shortly", at_once=MAX_CONCURRENT_EXPORTS
        )
    try:
        with service.engine.connect() as tx:
            position = common_position(tx, workspace, segments.projection, identity)
            asker = query_reader(service, tx, workspace, position)
            heading = [CSV_COLUMNS]
            for page in segments.iterate_member_pages(asker, segment, as_of, PAGE_SIZE):
                yield encode_csv([*heading, *map(_csv_row, page)])
                heading = []
    finally:
        slots.release()


def _csv_row(member: dict[str, Any]) -> list[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for it in member["identifiers"]:
        names[it["kind"]].append(it["value"])
    return [
        str(member["profile_id"]),
        *("; ".join(names[kind]) for kind in KINDS_BY_STRENGTH),
        member["entered"]["at"],
    ]
