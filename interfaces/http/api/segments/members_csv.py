"""CSV export of a segment's members, from one snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from threading import BoundedSemaphore
from typing import Any

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.core.errors import Overloaded
from domain.core.identifiers import KINDS_BY_STRENGTH
from interfaces.http.api.segments.schemas import MembersCsvParams
from interfaces.http.api.segments.segments import SEGMENTS
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.csv_response import CSV_MEDIA_TYPE, encode_csv
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.runtime.checkpoint import common_position

MEMBERS_CSV_PATH = f"{SEGMENTS.path}/members.csv"
CSV_COLUMNS = ("profile_id", *KINDS_BY_STRENGTH, "entered_at")
PAGE_SIZE = 1_000
MAX_CONCURRENT_EXPORTS = 2
"""Maximum concurrent exports: each holds a connection as long as its client reads."""


def members_csv_routes(service: Service) -> APIRouter:
    """Build the route of a segment's `members.csv`."""
    limit, slots = ConcurrencyLimit(), BoundedSemaphore(MAX_CONCURRENT_EXPORTS)
    read = params_reader(MembersCsvParams, MEMBERS_CSV_PATH)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )

    def start_export(workspace: int, params: MembersCsvParams) -> Iterator[bytes]:
        """Produce the first page before the response starts, so that errors get their status."""
        pages = export_members(service, workspace, params.id, params.as_of, slots)
        return chain([next(pages)], pages)

    @routes.get(
        MEMBERS_CSV_PATH,
        summary="Export a segment's members as CSV, newest first",
        operation_id="get_segment_members_csv",
        response_class=StreamingResponse,
        responses={
            **error_responses(400, 401, 403, 404, 503),
            200: {"content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        },
        openapi_extra=openapi_parameters(MembersCsvParams, MEMBERS_CSV_PATH),
    )
    async def get_members_csv(request: Request) -> Response:
        params = read(request)
        pages = await limit.run(start_export, authenticated_key(request).workspace, params)
        return StreamingResponse(
            pages,
            media_type=CSV_MEDIA_TYPE,
            headers={"Content-Disposition": f'attachment; filename="{params.id}.csv"'},
        )

    return routes


def export_members(
    service: Service,
    workspace: int,
    segment: str,
    as_of: str | None = None,
    slots: BoundedSemaphore | None = None,
) -> Iterator[bytes]:
    """Yield the CSV lines of a segment's members in chunks, all from one snapshot.

    ``as_of`` is a position or an instant; now if None.  Several identifiers of a kind share a cell,
    separated by ``; ``.  Raises NotFound, and Overloaded if no slot is free.
    """
    slots = slots or BoundedSemaphore()
    if not slots.acquire(blocking=False):
        raise Overloaded(
            "too many concurrent exports; retry shortly", at_once=MAX_CONCURRENT_EXPORTS
        )
    try:
        with service.engine.connect() as tx:
            position = common_position(tx, workspace, segments.projection, identity)
            reader = QueryReader(service.ledger, tx, workspace, position)
            header = [CSV_COLUMNS]
            for page in segments.iterate_member_pages(reader, segment, as_of, PAGE_SIZE):
                yield encode_csv([*header, *map(_csv_row, page)])
                header = []
    finally:
        slots.release()


def _csv_row(member: dict[str, Any]) -> list[str]:
    values: dict[str, list[str]] = defaultdict(list)
    for identifier in member["identifiers"]:
        values[identifier["kind"]].append(identifier["value"])
    return [
        str(member["profile_id"]),
        *("; ".join(values[kind]) for kind in KINDS_BY_STRENGTH),
        member["entered"]["at"],
    ]
