"""Who is on a list that is kept by hand: put on, taken off, brought in from a file; for admin keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
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
from interfaces.http.api.segments.segments import PATH, CommandReason, SegmentPath, command_context
from interfaces.http.kit import idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
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

MEMBERS_PATH = f"{PATH}/members"

REFERENCE_HEADINGS = ("ref", "profile_id")
"""What the first column may be called; the latter in a file of a segment's members."""

ListSide = Literal["add", "remove"]


class SegmentMembersUpdate(BaseModel):
    """Whom to put on the list, and whom to take off; 1,000 at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"add": ["user_id:u-1", "email:ada@example.com"], "reason": "invited"}]
        },
    )

    add: list[str] = Field([], description="Profile ids, or `user_id:u-1`, `email:…`, …")
    remove: list[str] = Field([], description="The same.")
    reason: CommandReason = ""


class RefusedMember(BaseModel):
    """Somebody who could not be put on the list or taken off; the others were."""

    side: ListSide = Field(alias="in")
    index: int = Field(description="Place in that list, from 0; in a CSV, the heading not counted.")
    code: Literal["invalid_reference", "unknown", "suppressed", "contradicted"]
    message: str


class SegmentMembersResult(BaseModel):
    """What became of everybody."""

    position: int = Field(description="The ledger's last position after it: for `min_position`.")
    accepted: int = Field(description="For how many it is now as was asked.")
    recorded: int = Field(description="For how many of those it was not so before.")
    refused: list[RefusedMember]


_REFUSAL_MESSAGES: dict[ManualListStatus, str] = {
    "unknown": "the ledger has heard of nobody by this name in this workspace",
    "suppressed": "nothing is recorded about this person, for they are suppressed",
    "contradicted": "the same person, by this name or another, is to be put on the list and taken off",
}

_CSV_BODY = {
    "text/csv": {
        "schema": {
            "type": "string",
            "description": "Everybody to put on the list: a reference in the first column; a heading"
            " `ref` or `profile_id` may come first, other columns are left alone.",
        },
        "example": "ref\nuser_id:u-1\nemail:ada@example.com\n",
    }
}


class _RequestedChange(NamedTuple):
    """One who is to be put on the list or taken off."""

    side: ListSide
    offset: int
    reference: str


def manual_list_routes(service: Service) -> APIRouter:
    """Return the route by which people are put on lists."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_which = params_reader(SegmentPath, MEMBERS_PATH)
    taken = openapi_body(SegmentMembersUpdate)
    taken["requestBody"]["content"] |= _CSV_BODY

    @routes.post(
        MEMBERS_PATH,
        summary="Put people on a list kept by hand, or take them off; the others are not held up",
        operation_id="change_segment_members",
        response_model=SegmentMembersResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=taken
        | {
            "parameters": [
                *openapi_parameters(SegmentPath, MEMBERS_PATH)["parameters"],
                idempotency.OPENAPI_PARAMETER,
            ]
        },
    )
    async def update_segment_members(request: Request) -> Response:
        which = read_which(request)
        if _is_csv(request):
            changes = SegmentMembersUpdate(
                add=parse_reference_column(await read_body(request)), remove=[]
            )
        else:
            changes = await parse_body(request, SegmentMembersUpdate)
        by, workspace = (
            command_context(request, changes.reason),
            authenticated_key(request).workspace,
        )
        stream_of = partial(
            references.resolve_stream, stream_of=partial(service.ledger.stream_of, workspace)
        )
        act = partial(segments.change_list, workspace, which.id, context=by)
        return json_response(await run_in_threadpool(_apply_changes, act, stream_of, changes))

    return routes


def parse_reference_column(table: bytes) -> list[str]:
    """Return the first column of a CSV, without its heading.  Raises InvalidRequest."""
    try:
        rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), strict=True)
        cells = [row[0].strip() for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"this is no CSV in UTF-8: {error}") from None
    return cells[1:] if cells and cells[0].lower() in REFERENCE_HEADINGS else cells


def _is_csv(request: Request) -> bool:
    said = request.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower() == "text/csv"


def _apply_changes(
    command: Callable[..., ManualListResult],
    stream_of: Callable[[str], UUID],
    changes: SegmentMembersUpdate,
) -> SegmentMembersResult:
    everybody = [
        *(_RequestedChange("add", *it) for it in enumerate(changes.add)),
        *(_RequestedChange("remove", *it) for it in enumerate(changes.remove)),
    ]
    wanted: list[ManualListChange] = []
    places: list[_RequestedChange] = []
    refused: list[RefusedMember] = []
    for it in everybody:
        try:
            wanted.append(ManualListChange(stream_of(it.reference), listed=it.side == "add"))
            places.append(it)
        except InvalidRequest as error:
            refused.append(_refused_member(it, "invalid_reference", str(error)))
    position, verdicts = command(changes=wanted)
    refused += [
        _refused_member(it, verdict, _REFUSAL_MESSAGES[verdict])
        for it, verdict in zip(places, verdicts, strict=True)
        if verdict in _REFUSAL_MESSAGES
    ]
    return SegmentMembersResult(
        position=position,
        accepted=len(everybody) - len(refused),
        recorded=verdicts.count("listed"),
        refused=sorted(refused, key=lambda it: (it.side, it.index)),
    )


def _refused_member(requested: _RequestedChange, code: str, message: str) -> RefusedMember:
    said = {"in": requested.side, "index": requested.offset, "code": code, "message": message}
    return RefusedMember.model_validate(said)
