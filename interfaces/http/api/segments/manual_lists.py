"""Manual list route: adds and removes members, by JSON or CSV, for admin keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.manual_lists import (
    ManualListChange,
    ManualListResult,
    ManualListStatus,
)
from application.definitions.segments import SegmentService
from domain.core.errors import InvalidRequest
from interfaces.http.api.segments.schemas import (
    ListSide,
    RefusedMember,
    SegmentMembersResult,
    SegmentMembersUpdate,
    SegmentPath,
)
from interfaces.http.api.segments.segments import SEGMENTS
from interfaces.http.kit import idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import command_context
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import (
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
    read_body,
)
from interfaces.service import Service
from projections.kit import references

MEMBERS_PATH = f"{SEGMENTS.path}/members"

REFERENCE_HEADINGS = ("ref", "profile_id")
"""Accepted headers of the first column; `profile_id` is that of a member export."""


_REFUSAL_MESSAGES: dict[ManualListStatus, str] = {
    "unknown": "no profile with this identifier in this workspace",
    "suppressed": "this profile is suppressed",
    "contradicted": "the same profile is both added and removed in this request",
}

_CSV_BODY = {
    "text/csv": {
        "schema": {
            "type": "string",
            "description": "Profiles to add: a reference in the first column; an optional header `ref` or"
            " `profile_id`; other columns are ignored.",
        },
        "example": "ref\nuser_id:u-1\nemail:ada@example.com\n",
    }
}


class _RequestedChange(NamedTuple):
    """A reference to add or to remove."""

    side: ListSide
    offset: int
    reference: str


def manual_list_routes(service: Service) -> APIRouter:
    """Build the route that changes a manual list."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_path = params_reader(SegmentPath, MEMBERS_PATH)
    request_body = openapi_body(SegmentMembersUpdate)
    request_body["requestBody"]["content"] |= _CSV_BODY

    @routes.post(
        MEMBERS_PATH,
        summary="Add or remove members of a manual list; invalid references do not block the others",
        operation_id="update_segment_members",
        response_model=SegmentMembersResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=request_body
        | {
            "parameters": [
                *openapi_parameters(SegmentPath, MEMBERS_PATH)["parameters"],
                idempotency.OPENAPI_PARAMETER,
            ]
        },
    )
    async def update_segment_members(request: Request) -> Response:
        path = read_path(request)
        if _is_csv(request):
            changes = SegmentMembersUpdate(
                add=parse_reference_column(await read_body(request)), remove=[]
            )
        else:
            changes = await parse_body(request, SegmentMembersUpdate)
        context, workspace = (
            command_context(request, changes.reason),
            authenticated_key(request).workspace,
        )
        stream_of = partial(
            references.resolve_stream, stream_of=partial(service.ledger.stream_of, workspace)
        )
        command = partial(segments.change_list, workspace, path.id, context=context)
        return json_response(await run_in_threadpool(_apply_changes, command, stream_of, changes))

    return routes


def parse_reference_column(table: bytes) -> list[str]:
    """Return the first column of a CSV, without its header.  Raises InvalidRequest."""
    try:
        rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), strict=True)
        cells = [row[0].strip() for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"not a valid UTF-8 CSV: {error}") from None
    return cells[1:] if cells and cells[0].lower() in REFERENCE_HEADINGS else cells


def _is_csv(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "text/csv"


def _apply_changes(
    command: Callable[..., ManualListResult],
    stream_of: Callable[[str], UUID],
    changes: SegmentMembersUpdate,
) -> SegmentMembersResult:
    requested = [
        *(_RequestedChange("add", *entry) for entry in enumerate(changes.add)),
        *(_RequestedChange("remove", *entry) for entry in enumerate(changes.remove)),
    ]
    list_changes: list[ManualListChange] = []
    resolved: list[_RequestedChange] = []
    refused: list[RefusedMember] = []
    for change in requested:
        try:
            list_changes.append(
                ManualListChange(stream_of(change.reference), listed=change.side == "add")
            )
            resolved.append(change)
        except InvalidRequest as error:
            refused.append(_refused_member(change, "invalid_reference", str(error)))
    position, statuses = command(changes=list_changes)
    refused += [
        _refused_member(change, status, _REFUSAL_MESSAGES[status])
        for change, status in zip(resolved, statuses, strict=True)
        if status in _REFUSAL_MESSAGES
    ]
    return SegmentMembersResult(
        position=position,
        accepted=len(requested) - len(refused),
        recorded=statuses.count("listed"),
        refused=sorted(refused, key=lambda member: (member.side, member.index)),
    )


def _refused_member(requested: _RequestedChange, code: str, message: str) -> RefusedMember:
    fields = {"in": requested.side, "index": requested.offset, "code": code, "message": message}
    return RefusedMember.model_validate(fields)
