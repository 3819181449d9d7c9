"""Merge and unmerge routes, for admin keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.profiles.merging import MergeContext, MergeResult, MergeService
from domain.core.errors import NotFound
from domain.identity.resolved_profile import ResolvedProfile
from interfaces.http.api.profiles.schemas import MergeRequest, ProfileMergeResult, UnmergeRequest
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.service import Service
from projections.kit import references


def merge_routes(service: Service) -> APIRouter:
    """Build the routes that merge profiles and remove an identifier from one."""
    routes = APIRouter(
        tags=["identity"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/profiles/merge")

    @routes.post(
        "/v1/profiles/merge",
        summary="Merge two profiles; an unmerge reverts it",
        operation_id="merge_profiles",
        response_model=ProfileMergeResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(MergeRequest) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def merge_profiles(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, MergeRequest)

        def command(
            merging: MergeService, workspace: int, stream_of: StreamResolver
        ) -> MergeResult:
            return merging.merge(
                workspace,
                stream_of(payload.primary),
                stream_of(payload.secondary),
                _command_context(request, payload.reason),
                policy=payload.policy,
                dry_run=payload.dry_run,
            )

        return await _run_command(service, request, command, dry_run=payload.dry_run)

    @routes.post(
        "/v1/profiles/unmerge",
        summary="Unmerge: remove an identifier from its profile",
        operation_id="unmerge_profile",
        response_model=ProfileMergeResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(UnmergeRequest)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def unmerge_profile(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, UnmergeRequest)

        def command(
            merging: MergeService, workspace: int, stream_of: StreamResolver
        ) -> MergeResult:
            context = _command_context(request, payload.reason)
            stream = stream_of(payload.identifier)
            return merging.unmerge(workspace, stream, context, dry_run=payload.dry_run)

        return await _run_command(service, request, command, dry_run=payload.dry_run)

    return routes


StreamResolver = Callable[[str], UUID]


async def _run_command(
    service: Service,
    request: Request,
    command: Callable[[MergeService, int, StreamResolver], MergeResult],
    *,
    dry_run: bool,
) -> Response:
    workspace = authenticated_key(request).workspace
    references_by_stream: dict[str, str] = {}

    def stream_of(reference: str) -> UUID:
        stream = references.resolve_stream(reference, partial(service.ledger.stream_of, workspace))
        references_by_stream[str(stream)] = reference
        return stream

    try:
        result = await run_in_threadpool(
            command, MergeService(service.ledger), workspace, stream_of
        )
    except NotFound as error:
        reference = references_by_stream[error.details["id"]]
        message = f"profile {reference!r} not found in this workspace"
        raise NotFound(message, profile=reference) from error
    answer = {
        "changed": result.changed,
        "dry_run": dry_run,
        "position": result.position,
        "before": [_profile_json(profile) for profile in result.before],
        "after": [_profile_json(profile) for profile in result.after],
        "changes": {
            kind: [c._asdict() for c in entries] for kind, entries in result.changes.items()
        },
    }
    return Response(event_json.encode_json(answer), media_type="application/json")


def _command_context(request: Request, reason: str) -> MergeContext:
    return MergeContext(
        authenticated_key(request).id, reason, idempotency.idempotency_key(request) or str(uuid4())
    )


def _profile_json(profile: ResolvedProfile) -> dict[str, Any]:
    return {
        "id": profile.id,
        "identifiers": [identifier._asdict() for identifier in profile.identifiers],
        "absorbed": profile.absorbed,
    }
