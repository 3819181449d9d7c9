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

from application.definitions.manual_lists import Listing, Verdict, Wanted
from application.definitions.segments import Segments
from domain.core.errors import InvalidRequest
from interfaces.http.api.segments.segments import PATH, Reason, Which, decision
from interfaces.http.kit import idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import answered
from interfaces.http.kit.params import body, body_of, bytes_of, parameters, reader
from interfaces.service import Service
from projections.kit import references

MEMBERS = f"{PATH}/members"

HEADINGS = ("ref", "profile_id")
"""What the first column may be called; the latter in a file of a segment's members."""

Side = Literal["add", "remove"]


class Changes(BaseModel):
    """Whom to put on the list, and whom to take off; 1,000 at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"add": ["user_id:u-1", "email:ada@example.com"], "reason": "invited"}]
        },
    )

    add: list[str] = Field([], description="Profile ids, or `user_id:u-1`, `email:…`, …")
    remove: list[str] = Field([], description="The same.")
    reason: Reason = ""


class Refused(BaseModel):
    """Somebody who could not be put on the list or taken off; the others were."""

    side: Side = Field(alias="in")
    index: int = Field(description="Place in that list, from 0; in a CSV, the heading not counted.")
    code: Literal["invalid_reference", "unknown", "suppressed", "contradicted"]
    message: str


class Done(BaseModel):
    """What became of everybody."""

    position: int = Field(description="The ledger's last position after it: for `min_position`.")
    accepted: int = Field(description="For how many it is now as was asked.")
    recorded: int = Field(description="For how many of those it was not so before.")
    refused: list[Refused]


_MESSAGES: dict[Verdict, str] = {
    "unknown": "the ledger has heard of nobody by this name in this workspace",
    "suppressed": "nothing is recorded about this person, for they are suppressed",
    "contradicted": "the same person, by this name or another, is to be put on the list and taken off",
}

_CSV = {
    "text/csv": {
        "schema": {
            "type": "string",
            "description": "Everybody to put on the list: a reference in the first column; a heading"
            " `ref` or `profile_id` may come first, other columns are left alone.",
        },
        "example": "ref\nuser_id:u-1\nemail:ada@example.com\n",
    }
}


class _Asked(NamedTuple):
    """One who is to be put on the list or taken off."""

    side: Side
    place: int
    reference: str


def lists(service: Service) -> APIRouter:
    """Return the route by which people are put on lists."""
    segments = Segments(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_which = reader(Which, MEMBERS)
    taken = body(Changes)
    taken["requestBody"]["content"] |= _CSV

    @routes.post(
        MEMBERS,
        summary="Put people on a list kept by hand, or take them off; the others are not held up",
        operation_id="change_segment_members",
        response_model=Done,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=taken
        | {"parameters": [*parameters(Which, MEMBERS)["parameters"], idempotency.HEADER]},
    )
    async def change(request: Request) -> Response:
        which = read_which(request)
        if _is_csv(request):
            changes = Changes(add=references_in(await bytes_of(request)), remove=[])
        else:
            changes = await body_of(request, Changes)
        by, workspace = decision(request, changes.reason), key_of(request).workspace
        stream_of = partial(
            references.stream, stream_of=partial(service.ledger.stream_of, workspace)
        )
        act = partial(segments.list_people, workspace, which.id, decision=by)
        return answered(await run_in_threadpool(_done, act, stream_of, changes))

    return routes


def references_in(table: bytes) -> list[str]:
    """Return the first column of a CSV, without its heading.  Raises InvalidRequest."""
    try:
        rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), strict=True)
        cells = [row[0].strip() for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"this is no CSV in UTF-8: {error}") from None
    return cells[1:] if cells and cells[0].lower() in HEADINGS else cells


def _is_csv(request: Request) -> bool:
    said = request.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower() == "text/csv"


def _done(act: Callable[..., Listing], stream_of: Callable[[str], UUID], changes: Changes) -> Done:
    everybody = [
        *(_Asked("add", *it) for it in enumerate(changes.add)),
        *(_Asked("remove", *it) for it in enumerate(changes.remove)),
    ]
    wanted: list[Wanted] = []
    places: list[_Asked] = []
    refused: list[Refused] = []
    for it in everybody:
        try:
            wanted.append(Wanted(stream_of(it.reference), listed=it.side == "add"))
            places.append(it)
        except InvalidRequest as error:
            refused.append(_refused(it, "invalid_reference", str(error)))
    position, verdicts = act(wanted=wanted)
    refused += [
        _refused(it, verdict, _MESSAGES[verdict])
        for it, verdict in zip(places, verdicts, strict=True)
        if verdict in _MESSAGES
    ]
    return Done(
        position=position,
        accepted=len(everybody) - len(refused),
        recorded=verdicts.count("listed"),
        refused=sorted(refused, key=lambda it: (it.side, it.index)),
    )


def _refused(asked: _Asked, code: str, message: str) -> Refused:
    said = {"in": asked.side, "index": asked.place, "code": code, "message": message}
    return Refused.model_validate(said)
