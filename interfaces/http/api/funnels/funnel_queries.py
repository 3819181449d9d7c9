"""Ad-hoc funnel queries: conversion per step, and the profiles behind each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from domain.core.time import format_utc
from domain.funnels.funnel import Funnel
from interfaces.http.api.funnels.schemas import (
    FunnelConversion,
    FunnelProfileList,
    FunnelProfilesQuery,
    FunnelQuery,
    FunnelStepParams,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import (
    ReadModelBehind,
    resolve_min_position,
    wait_for_position,
)
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import timeline
from projections.funnels import counts
from projections.funnels.profile_walks import ProfileWalk, walk_profiles
from projections.identity import projection as identity
from projections.kit import cursors
from projections.runtime.checkpoint import common_position
from projections.runtime.ports import ProfilePort
from projections.runtime.projection import Projection

PATH = "/v1/funnels/query"


def funnel_query_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Build the routes of `/v1/funnels/query`."""
    limit = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Compute funnel conversion, each profile counted once",
        operation_id="query_funnel",
        response_model=FunnelConversion,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(FunnelQuery),
    )
    async def query_funnel(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, FunnelQuery)
        return await _respond(request, payload.min_position, partial(count_funnel, payload.funnel))

    @routes.post(
        f"{PATH}/profiles",
        summary="List profiles that reached a funnel step, or dropped off after it",
        operation_id="query_funnel_profiles",
        response_model=FunnelProfileList,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(FunnelProfilesQuery),
    )
    async def query_funnel_profiles(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, FunnelProfilesQuery)
        return await _respond(
            request, payload.min_position, partial(list_funnel_profiles, payload.funnel, payload)
        )

    async def _respond(
        request: Request,
        min_position: int | None,
        answer: Callable[[ProfilePort], dict[str, Any]],
    ) -> Response:
        workspace = authenticated_key(request).workspace
        position = await resolve_min_position(service, workspace, min_position)
        args = (service, workspace, position, answer)
        return await wait_for_position(position, wait_seconds, limit, answer_from_snapshot, *args)

    return routes


def answer_from_snapshot(
    service: Service,
    workspace: int,
    position: int,
    answer: Callable[[ProfilePort], dict[str, Any]],
    read_models: Sequence[Projection] = (timeline.projection,),
) -> bytes | ReadModelBehind:
    """Answer from one snapshot of the read models and of identity.

    Returns `ReadModelBehind` if one of them has not reached ``position``.
    """
    with service.engine.connect() as tx:
        projected_to = min(
            common_position(tx, workspace, read_model, identity) for read_model in read_models
        )
        if projected_to < position:
            return ReadModelBehind(position=projected_to)
        result = answer(QueryReader(service.ledger, tx, workspace, projected_to))
        return msgspec.json.encode(result | {"projected_to": projected_to})


def count_funnel(funnel: Funnel, reader: ProfilePort) -> dict[str, Any]:
    """Compute a funnel's conversion as of now."""
    now = datetime.now(UTC)
    return counts.count_funnel(reader, funnel, now) | {"as_of": format_utc(now)}


def list_funnel_profiles(
    funnel: Funnel, params: FunnelStepParams, reader: ProfilePort
) -> dict[str, Any]:
    """List a page of the profiles that reached a step, as of now."""
    walks = walk_profiles(reader, funnel, datetime.now(UTC), after=cursor_profile_id(params))
    return profile_page(reader, walks, len(funnel.steps), params)


def cursor_profile_id(params: FunnelStepParams) -> UUID | None:
    """Return the last profile id of the previous page, or None.  Raises InvalidRequest."""
    return None if params.cursor is None else cursors.decode_profile_id(params.cursor)


def profile_page(
    reader: ProfilePort, walks: Iterator[ProfileWalk], steps: int, params: FunnelStepParams
) -> dict[str, Any]:
    """Build a page of the profiles that reached a step, from walks ordered by profile id."""
    profiles, last = counts.list_profiles_at_step(
        reader, walks, steps, step=params.step, lost=params.lost, limit=params.limit
    )
    return {"profiles": profiles, "next": None if last is None else cursors.encode_text(str(last))}
