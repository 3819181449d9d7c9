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

from application.ledger.tables.keys import Key
from application.profiles.erasing import Decision, Receipt, Whom
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service
from projections.kit import references

Reason = Annotated[
    str,
    Field(
        max_length=500,
        description="Why.  It is kept for ever, so it must not name the person.",
    ),
]


class OfProfile(BaseModel):
    """Whom to erase."""

    ref: str = Field(max_length=2000)


class Erase(BaseModel):
    """How to erase them."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""
    suppress: bool = Field(False, description="Also ignore what is sent about them from now on.")


class Suppress(BaseModel):
    """Whom to suppress."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(max_length=2000, description="The id of a known profile, or `kind:value`.")
    reason: Reason = ""
    erase: bool = Field(True, description="Also erase what is recorded of them.")


class Unsuppress(BaseModel):
    """Whom to record again."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(max_length=2000, description="Any profile id or `kind:value` of theirs.")
    reason: Reason = ""


class Done(BaseModel):
    """What was done, complete when it is answered."""

    position: int = Field(description="The ledger's last position after it.")
    id: UUID = Field(description="The person's profile id.")
    streams: list[UUID] = Field(description="The streams that it concerns.")
    events: int = Field(description="How many events were erased.")
    rejected: int = Field(description="How many messages among the rejected ones were erased.")
    suppressed: bool = Field(description="Whether what is sent about them is ignored from now on.")


class Suppressed(BaseModel):
    """A person whose messages are ignored."""

    profile_id: UUID
    suppressed_at: Instant
    streams: int = Field(description="How many identifiers that concerns.")


class SuppressedList(Listed):
    """The people whose messages are ignored, in the order of their ids."""

    suppressions: list[Suppressed]
    count: int = Field(description="How many there are, on all pages.")


class ListParams(BaseModel):
    """Which page."""

    cursor: UUID | None = Field(None, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=1000, description="Most rows on a page.")] = 50


def erasing(service: Service) -> APIRouter:
    """Return the routes by which a person is erased or suppressed."""
    routes = APIRouter(
        tags=["erasure"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_whom = reader(OfProfile, "/v1/profiles/{ref}")
    read_nothing = reader(Nothing, "/v1/profiles/suppress")
    read_list = reader(ListParams, "/v1/suppressions")

    @routes.delete(
        "/v1/profiles/{ref}",  # noqa: FAST003 - read by `read_whom`
        summary="Erase a person: from the ledger and every read model, for good",
        operation_id="erase_profile",
        response_model=Done,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=parameters(OfProfile, "/v1/profiles/{ref}") | body(Erase),
    )
    async def erase(request: Request) -> Response:
        whom, asked = read_whom(request), await body_of(request, Erase)
        act = partial(service.erasing.erase, suppress=asked.suppress)
        return await run_in_threadpool(_done, act, key_of(request), whom.ref, asked.reason)

    @routes.post(
        "/v1/profiles/suppress",
        summary="Ignore what is sent about a person from now on, and erase what is recorded",
        operation_id="suppress_profile",
        response_model=Done,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=body(Suppress),
    )
    async def suppress(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Suppress)
        whole = partial(service.erasing.erase, suppress=True)
        act = whole if asked.erase else service.erasing.suppress
        return await run_in_threadpool(_done, act, key_of(request), asked.profile, asked.reason)

    @routes.post(
        "/v1/profiles/unsuppress",
        summary="Record again what is sent about a person; what was erased stays so",
        operation_id="unsuppress_profile",
        response_model=Done,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=body(Unsuppress),
    )
    async def unsuppress(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Unsuppress)
        act = service.erasing.lift
        return await run_in_threadpool(_done, act, key_of(request), asked.profile, asked.reason)

    @routes.get(
        "/v1/suppressions",
        summary="The people whose messages are ignored: ids only, for nothing else is kept",
        operation_id="get_suppressions",
        response_model=SuppressedList,
        responses=documented(400, 401, 403, 503),
        openapi_extra=parameters(ListParams, "/v1/suppressions"),
    )
    async def listed(request: Request) -> Response:
        asked, workspace = read_list(request), key_of(request).workspace
        return answered(await run_in_threadpool(_suppressions, service, workspace, asked))

    return routes


def _done(
    act: Callable[[int, Whom, Decision], Receipt],
    key: Key,
    reference: str,
    reason: str,
) -> Response:
    receipt = act(
        key.workspace, references.read(reference), Decision(datetime.now(UTC), key.id, reason)
    )
    return answered(Done.model_validate(receipt._asdict()))


def _suppressions(service: Service, workspace: int, asked: ListParams) -> SuppressedList:
    head = service.ledger.heads().get(workspace, 0)
    after = asked.cursor or UUID(int=0)
    count, rows = service.ledger.suppressions(workspace, after, asked.limit + 1)
    page = [
        Suppressed(profile_id=it.person, suppressed_at=it.suppressed_at, streams=it.streams)
        for it in rows[: asked.limit]
    ]
    return SuppressedList(
        suppressions=page,
        count=count,
        next=str(page[-1].profile_id) if len(rows) > len(page) else None,
        projected_to=head,
    )
