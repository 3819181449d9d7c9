"""Goal queries: conversion of exposed profiles within a window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from domain.core.time import format_utc
from domain.funnels.goals import Goal
from interfaces.http.api.funnels.funnel_queries import (
    answer_from_snapshot,
    cursor_profile_id,
    profile_page,
)
from interfaces.http.api.funnels.schemas import (
    FunnelProfileList,
    FunnelStepParams,
    GoalConversion,
    GoalProfilesQuery,
    GoalQuery,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import resolve_min_position, wait_for_position
from interfaces.service import Service
from projections import channel_funnels, timeline
from projections.funnels import goals
from projections.runtime.ports import ProfilePort

PATH = "/v1/goals/query"


def goal_query_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Build the routes of `/v1/goals/query`."""
    limit = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Compute goal conversion after an exposure, each profile counted once",
        operation_id="query_goal",
        response_model=GoalConversion,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(GoalQuery),
    )
    async def query_goal(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, GoalQuery)
        return await _respond(
            request, payload.min_position, partial(_count_goal, payload.goal_definition)
        )

    @routes.post(
        f"{PATH}/profiles",
        summary="List converted profiles (step 2) or exposed ones that did not convert (step 1, lost)",
        operation_id="query_goal_profiles",
        response_model=FunnelProfileList,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(GoalProfilesQuery),
    )
    async def query_goal_profiles(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, GoalProfilesQuery)
        return await _respond(
            request,
            payload.min_position,
            partial(_list_goal_profiles, payload.goal_definition, payload),
        )

    async def _respond(
        request: Request,
        min_position: int | None,
        answer: Callable[[ProfilePort], dict[str, Any]],
    ) -> Response:
        workspace = authenticated_key(request).workspace
        position = await resolve_min_position(service, workspace, min_position)
        read_models = (timeline.projection, channel_funnels.projection)
        args = (service, workspace, position, answer, read_models)
        return await wait_for_position(position, wait_seconds, limit, answer_from_snapshot, *args)

    return routes


def _count_goal(goal: Goal, reader: ProfilePort) -> dict[str, Any]:
    now = datetime.now(UTC)
    return goals.count_goal(reader, goal, now) | {"as_of": format_utc(now)}


def _list_goal_profiles(
    goal: Goal, params: FunnelStepParams, reader: ProfilePort
) -> dict[str, Any]:
    walks = goals.exposed_profiles(reader, goal, datetime.now(UTC), after=cursor_profile_id(params))
    return profile_page(reader, walks, 2, params)
