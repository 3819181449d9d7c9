"""Erasing people, ignoring what is sent about them, and recording it again: for admin keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.keys import ApiKey
from application.profiles.erasing import ErasureContext, ErasureResult, ProfileReference
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page, json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service
from projections.kit import references

ErasureReason = Annotated[
    str,
    Field(
        max_length=500,
        description="Why.  It is kept for ever, so it must not name the person.",
    ),
]


class ErasurePath(BaseModel):
    """Whom to erase."""

    ref: str = Field(max_length=2000)


class EraseRequest(BaseModel):
    """How to erase them."""

    model_config = ConfigDict(extra="forbid")

    reason: ErasureReason = ""
    suppress: bool = Field(False, description="Also ignore what is sent about them from now on.")


class SuppressRequest(BaseModel):
    """Whom to suppress."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(max_length=2000, description="The id of a known profile, or `kind:value`.")
    reason: ErasureReason = ""
    erase: bool = Field(True, description="Also erase what is recorded of them.")


class UnsuppressRequest(BaseModel):
    """Whom to record again."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(max_length=2000, description="Any profile id or `kind:value` of theirs.")
    reason: ErasureReason = ""


class ProfileErasureResult(BaseModel):
    """What was done, complete when it is answered."""

    position: int = Field(description="The ledger's last position after it.")
    id: UUID = Field(description="The person's profile id.")
    streams: list[UUID] = Field(description="The streams that it concerns.")
    events: int = Field(description="How many events were erased.")
    rejected: int = Field(description="How many messages among the rejected ones were erased.")
    suppressed: bool = Field(description="Whether what is sent about them is ignored from now on.")


class SuppressedProfile(BaseModel):
    """A person whose messages are ignored."""

    profile_id: UUID
    suppressed_at: Instant
    streams: int = Field(description="How many identifiers that concerns.")


class SuppressedProfileList(Page):
    """The people whose messages are ignored, in the order of their ids."""

    suppressions: list[SuppressedProfile]
    count: int = Field(description="How many there are, on all pages.")


class SuppressionListParams(BaseModel):
    """Which page."""

    cursor: UUID | None = Field(None, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=1000, description="Most rows on a page.")] = 50


def erasure_routes(service: Service) -> APIRouter:
    """Return the routes by which a person is erased or suppressed."""
    routes = APIRouter(
        tags=["erasure"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_whom = params_reader(ErasurePath, "/v1/profiles/{ref}")
    read_nothing = params_reader(NoParams, "/v1/profiles/suppress")
    read_list = params_reader(SuppressionListParams, "/v1/suppressions")

    @routes.delete(
        "/v1/profiles/{ref}",  # noqa: FAST003 - read by `read_whom`
        summary="Erase a person: from the ledger and every read model, for good",
        operation_id="erase_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_parameters(ErasurePath, "/v1/profiles/{ref}")
        | openapi_body(EraseRequest),
    )
    async def erase_profile(request: Request) -> Response:
        whom, asked = read_whom(request), await parse_body(request, EraseRequest)
        act = partial(service.erasure.erase, suppress=asked.suppress)
        return await run_in_threadpool(
            _run_command, act, authenticated_key(request), whom.ref, asked.reason
        )

    @routes.post(
        "/v1/profiles/suppress",
        summary="Ignore what is sent about a person from now on, and erase what is recorded",
        operation_id="suppress_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(SuppressRequest),
    )
    async def suppress_profile(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, SuppressRequest)
        whole = partial(service.erasure.erase, suppress=True)
        act = whole if asked.erase else service.erasure.suppress
        return await run_in_threadpool(
            _run_command, act, authenticated_key(request), asked.profile, asked.reason
        )

    @routes.post(
        "/v1/profiles/unsuppress",
        summary="Record again what is sent about a person; what was erased stays so",
        operation_id="unsuppress_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(UnsuppressRequest),
    )
    async def unsuppress_profile(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, UnsuppressRequest)
        act = service.erasure.lift_suppression
        return await run_in_threadpool(
            _run_command, act, authenticated_key(request), asked.profile, asked.reason
        )

    @routes.get(
        "/v1/suppressions",
        summary="The people whose messages are ignored: ids only, for nothing else is kept",
        operation_id="get_suppressions",
        response_model=SuppressedProfileList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(SuppressionListParams, "/v1/suppressions"),
    )
    async def list_suppressions(request: Request) -> Response:
        asked, workspace = read_list(request), authenticated_key(request).workspace
        return json_response(await run_in_threadpool(_list_suppressions, service, workspace, asked))

    return routes


def _run_command(
    command: Callable[[int, ProfileReference, ErasureContext], ErasureResult],
    key: ApiKey,
    reference: str,
    reason: str,
) -> Response:
    receipt = command(
        key.workspace,
        references.parse_reference(reference),
        ErasureContext(datetime.now(UTC), key.id, reason),
    )
    return json_response(ProfileErasureResult.model_validate(receipt._asdict()))


def _list_suppressions(
    service: Service, workspace: int, params: SuppressionListParams
) -> SuppressedProfileList:
    head = service.ledger.heads().get(workspace, 0)
    after = params.cursor or UUID(int=0)
    count, rows = service.ledger.list_suppressions(workspace, after, params.limit + 1)
    page = [
        SuppressedProfile(
            profile_id=it.profile_id, suppressed_at=it.suppressed_at, streams=it.streams
        )
        for it in rows[: params.limit]
    ]
    return SuppressedProfileList(
        suppressions=page,
        count=count,
        next=str(page[-1].profile_id) if len(rows) > len(page) else None,
        projected_to=head,
    )
