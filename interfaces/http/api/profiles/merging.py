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

from application.profiles.merging import Decision, Merging, Outcome
from domain.core.errors import NotFound
from domain.events.message import Policy
from domain.identity.resolved_profile import Person
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, reader
from interfaces.service import Service
from projections.kit import references

Ref = Annotated[
    str, Field(max_length=2000, description="Profile id, or `user_id:u-1`, `anonymous_id:…`, …")
]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Kept with the decision.")]
DryRun = Annotated[bool, Field(description="Only say what it would come to.")]


class Merge(BaseModel):
    """Whom to make one person of."""

    model_config = ConfigDict(extra="forbid")

    primary: Ref
    secondary: Ref
    reason: Reason
    policy: Policy = Field(
        "latest",
        description="Whose word counts: `latest`, what was said last, whoever of them it was said of;"
        " `primary`, that of the primary, with gaps filled from what was said of the secondary.",
    )
    dry_run: DryRun = False


class Unmerge(BaseModel):
    """What to take out of the profile that it is a part of."""

    model_config = ConfigDict(extra="forbid")

    identifier: Ref
    reason: Reason
    dry_run: DryRun = False


class Name(BaseModel):
    """One name of a person."""

    kind: str
    value: str


class Someone(BaseModel):
    """A profile by its names."""

    id: UUID
    identifiers: list[Name] = Field(description="Strongest kind first.")
    absorbed: list[UUID] = Field(description="Other ids under which the profile is found.")


class Difference(BaseModel):
    """One thing that is added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    after: Any


class Decided(BaseModel):
    """What a decision comes to."""

    changed: bool = Field(
        description="False: it was so already, or was decided before under this Idempotency-Key;"
        " nothing was recorded."
    )
    dry_run: bool
    position: int | None = Field(description="The ledger's last position; null if not recorded.")
    before: list[Someone] = Field(description="Of a merge, the primary first.")
    after: list[Someone] = Field(description="Of an unmerge, the one with the identifier last.")
    changes: dict[str, list[Difference]] = Field(
        description="From the first profile before to the first after: attributes, tags, …"
    )


def merging(service: Service) -> APIRouter:
    """Return the routes by which somebody decides who is who."""
    routes = APIRouter(
        tags=["identity"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = reader(Nothing, "/v1/profiles/merge")

    @routes.post(
        "/v1/profiles/merge",
        summary="Make one profile of two; an unmerge undoes it",
        operation_id="merge_profiles",
        response_model=Decided,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=body(Merge) | {"parameters": [idempotency.HEADER]},
    )
    async def merge(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Merge)

        def act(merging: Merging, workspace: int, stream_of: StreamOf) -> Outcome:
            return merging.merge(
                workspace,
                stream_of(asked.primary),
                stream_of(asked.secondary),
                _decision(request, asked.reason),
                policy=asked.policy,
                dry_run=asked.dry_run,
            )

        return await _decided(service, request, act, dry_run=asked.dry_run)

    @routes.post(
        "/v1/profiles/unmerge",
        summary="Take an identifier out of the profile that it is a part of",
        operation_id="unmerge_profile",
        response_model=Decided,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=body(Unmerge) | {"parameters": [idempotency.HEADER]},
    )
    async def unmerge(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Unmerge)

        def act(merging: Merging, workspace: int, stream_of: StreamOf) -> Outcome:
            decision = _decision(request, asked.reason)
            stream = stream_of(asked.identifier)
            return merging.unmerge(workspace, stream, decision, dry_run=asked.dry_run)

        return await _decided(service, request, act, dry_run=asked.dry_run)

    return routes


StreamOf = Callable[[str], UUID]


async def _decided(
    service: Service,
    request: Request,
    act: Callable[[Merging, int, StreamOf], Outcome],
    *,
    dry_run: bool,
) -> Response:
    workspace = key_of(request).workspace
    asked: dict[str, str] = {}

    def stream_of(reference: str) -> UUID:
        stream = references.stream(reference, partial(service.ledger.stream_of, workspace))
        asked[str(stream)] = reference
        return stream

    try:
        outcome = await run_in_threadpool(act, Merging(service.ledger), workspace, stream_of)
    except NotFound as unknown:
        reference = asked[unknown.details["id"]]
        told = f"no profile {reference!r} is known in this workspace"
        raise NotFound(told, profile=reference) from unknown
    answer = {
        "changed": outcome.changed,
        "dry_run": dry_run,
        "position": outcome.position,
        "before": [_someone(it) for it in outcome.before],
        "after": [_someone(it) for it in outcome.after],
        "changes": {kind: [it._asdict() for it in all_] for kind, all_ in outcome.changes.items()},
    }
    return Response(event_json.encode(answer), media_type="application/json")


def _decision(request: Request, reason: str) -> Decision:
    return Decision(key_of(request).id, reason, idempotency.key_in(request) or str(uuid4()))


def _someone(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "identifiers": [it._asdict() for it in person.identifiers],
        "absorbed": person.absorbed,
    }
