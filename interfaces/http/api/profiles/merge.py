"""Merging profiles, and taking a name out of one again: for admin keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.profiles.merging import MergeContext, MergeResult, MergeService
from domain.core.errors import NotFound
from domain.events.message import MergePolicy
from domain.identity.resolved_profile import ResolvedProfile
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.service import Service
from projections.kit import references

ProfileRef = Annotated[
    str, Field(max_length=2000, description="Profile id, or `user_id:u-1`, `anonymous_id:…`, …")
]
MergeReason = Annotated[
    str, Field(min_length=1, max_length=500, description="Kept with the decision.")
]
DryRunFlag = Annotated[bool, Field(description="Only say what it would come to.")]


class MergeRequest(BaseModel):
    """Whom to make one person of."""

    model_config = ConfigDict(extra="forbid")

    primary: ProfileRef
    secondary: ProfileRef
    reason: MergeReason
    policy: MergePolicy = Field(
        "latest",
        description="Whose word counts: `latest`, what was said last, whoever of them it was said of;"
        " `primary`, that of the primary, with gaps filled from what was said of the secondary.",
    )
    dry_run: DryRunFlag = False


class UnmergeRequest(BaseModel):
    """What to take out of the profile that it is a part of."""

    model_config = ConfigDict(extra="forbid")

    identifier: ProfileRef
    reason: MergeReason
    dry_run: DryRunFlag = False


class MergedIdentifier(BaseModel):
    """One name of a person."""

    kind: str
    value: str


class MergedProfile(BaseModel):
    """A profile by its names."""

    id: UUID
    identifiers: list[MergedIdentifier] = Field(description="Strongest kind first.")
    absorbed: list[UUID] = Field(description="Other ids under which the profile is found.")


class MergeDiffEntry(BaseModel):
    """One thing that is added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    after: Any


class ProfileMergeResult(BaseModel):
    """What a decision comes to."""

    changed: bool = Field(
        description="False: it was so already, or was decided before under this Idempotency-Key;"
        " nothing was recorded."
    )
    dry_run: bool
    position: int | None = Field(description="The ledger's last position; null if not recorded.")
    before: list[MergedProfile] = Field(description="Of a merge, the primary first.")
    after: list[MergedProfile] = Field(
        description="Of an unmerge, the one with the identifier last."
    )
    changes: dict[str, list[MergeDiffEntry]] = Field(
        description="From the first profile before to the first after: attributes, tags, …"
    )


def merge_routes(service: Service) -> APIRouter:
    """Return the routes by which somebody decides who is who."""
    routes = APIRouter(
        tags=["identity"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/profiles/merge")

    @routes.post(
        "/v1/profiles/merge",
        summary="Make one profile of two; an unmerge undoes it",
        operation_id="merge_profiles",
        response_model=ProfileMergeResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(MergeRequest) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def merge_profiles(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, MergeRequest)

        def act(merging: MergeService, workspace: int, stream_of: StreamResolver) -> MergeResult:
            return merging.merge(
                workspace,
                stream_of(asked.primary),
                stream_of(asked.secondary),
                _command_context(request, asked.reason),
                policy=asked.policy,
                dry_run=asked.dry_run,
            )

        return await _run_command(service, request, act, dry_run=asked.dry_run)

    @routes.post(
        "/v1/profiles/unmerge",
        summary="Take an identifier out of the profile that it is a part of",
        operation_id="unmerge_profile",
        response_model=ProfileMergeResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(UnmergeRequest)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def unmerge_profile(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, UnmergeRequest)

        def act(merging: MergeService, workspace: int, stream_of: StreamResolver) -> MergeResult:
            decision = _command_context(request, asked.reason)
            stream = stream_of(asked.identifier)
            return merging.unmerge(workspace, stream, decision, dry_run=asked.dry_run)

        return await _run_command(service, request, act, dry_run=asked.dry_run)

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
    asked: dict[str, str] = {}

    def stream_of(reference: str) -> UUID:
        stream = references.resolve_stream(reference, partial(service.ledger.stream_of, workspace))
        asked[str(stream)] = reference
        return stream

    try:
        outcome = await run_in_threadpool(
            command, MergeService(service.ledger), workspace, stream_of
        )
    except NotFound as unknown:
        reference = asked[unknown.details["id"]]
        told = f"no profile {reference!r} is known in this workspace"
        raise NotFound(told, profile=reference) from unknown
    answer = {
        "changed": outcome.changed,
        "dry_run": dry_run,
        "position": outcome.position,
        "before": [_profile_json(it) for it in outcome.before],
        "after": [_profile_json(it) for it in outcome.after],
        "changes": {kind: [it._asdict() for it in all_] for kind, all_ in outcome.changes.items()},
    }
    return Response(event_json.encode_json(answer), media_type="application/json")


def _command_context(request: Request, reason: str) -> MergeContext:
    return MergeContext(
        authenticated_key(request).id, reason, idempotency.idempotency_key(request) or str(uuid4())
    )


def _profile_json(profile: ResolvedProfile) -> dict[str, Any]:
    return {
        "id": profile.id,
        "identifiers": [it._asdict() for it in profile.identifiers],
        "absorbed": profile.absorbed,
    }
