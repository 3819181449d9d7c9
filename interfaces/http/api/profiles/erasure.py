"""Erasure and suppression routes, for admin keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.keys import ApiKey
from application.profiles.erasing import ErasureResult, ProfileReference
from application.profiles.erasure_attempt import ErasureContext
from interfaces.http.api.profiles.schemas import (
    EraseRequest,
    ErasurePath,
    ProfileErasureResult,
    SuppressedProfile,
    SuppressedProfileList,
    SuppressionListParams,
    SuppressRequest,
    UnsuppressRequest,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service
from projections.kit import references


def erasure_routes(service: Service) -> APIRouter:
    """Build the routes that erase, suppress and unsuppress profiles."""
    routes = APIRouter(
        tags=["erasure"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_path = params_reader(ErasurePath, "/v1/profiles/{ref}")
    read_nothing = params_reader(NoParams, "/v1/profiles/suppress")
    read_list = params_reader(SuppressionListParams, "/v1/suppressions")

    @routes.delete(
        "/v1/profiles/{ref}",  # noqa: FAST003 - read by `read_path`
        summary="Erase a profile from the ledger and all read models, irreversibly",
        operation_id="erase_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_parameters(ErasurePath, "/v1/profiles/{ref}")
        | openapi_body(EraseRequest),
    )
    async def erase_profile(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, EraseRequest)
        command = partial(service.erasure.erase, suppress=payload.suppress)
        return await run_in_threadpool(
            _run_command, command, authenticated_key(request), path.ref, payload.reason
        )

    @routes.post(
        "/v1/profiles/suppress",
        summary="Suppress a profile: ignore future messages, and erase recorded data unless `erase` is"
        " false",
        operation_id="suppress_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(SuppressRequest),
    )
    async def suppress_profile(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, SuppressRequest)
        suppress_and_erase = partial(service.erasure.erase, suppress=True)
        command = suppress_and_erase if payload.erase else service.erasure.suppress
        return await run_in_threadpool(
            _run_command, command, authenticated_key(request), payload.profile, payload.reason
        )

    @routes.post(
        "/v1/profiles/unsuppress",
        summary="Lift a suppression; erased data is not restored",
        operation_id="unsuppress_profile",
        response_model=ProfileErasureResult,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(UnsuppressRequest),
    )
    async def unsuppress_profile(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, UnsuppressRequest)
        command = service.erasure.lift_suppression
        return await run_in_threadpool(
            _run_command, command, authenticated_key(request), payload.profile, payload.reason
        )

    @routes.get(
        "/v1/suppressions",
        summary="List suppressed profiles (ids only)",
        operation_id="list_suppressions",
        response_model=SuppressedProfileList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(SuppressionListParams, "/v1/suppressions"),
    )
    async def list_suppressions(request: Request) -> Response:
        params, workspace = read_list(request), authenticated_key(request).workspace
        return json_response(
            await run_in_threadpool(_list_suppressions, service, workspace, params)
        )

    return routes


def _run_command(
    command: Callable[[int, ProfileReference, ErasureContext], ErasureResult],
    key: ApiKey,
    reference: str,
    reason: str,
) -> Response:
    result = command(
        key.workspace,
        references.parse_reference(reference),
        ErasureContext(datetime.now(UTC), key.id, reason),
    )
    return json_response(ProfileErasureResult.model_validate(result._asdict()))


def _list_suppressions(
    service: Service, workspace: int, params: SuppressionListParams
) -> SuppressedProfileList:
    head = service.ledger.heads().get(workspace, 0)
    after = params.cursor or UUID(int=0)
    count, rows = service.ledger.list_suppressions(workspace, after, params.limit + 1)
    page = [
        SuppressedProfile(
            profile_id=row.profile_id, suppressed_at=row.suppressed_at, streams=row.streams
        )
        for row in rows[: params.limit]
    ]
    return SuppressedProfileList(
        suppressions=page,
        count=count,
        next=str(page[-1].profile_id) if len(rows) > len(page) else None,
        projected_to=head,
    )
