"""Saved funnels as the API serves them, and the current result of one."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from msgspec import Raw
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.saved_funnels import SavedFunnelService
from domain.definitions.definition import DefinitionVersion
from interfaces.http.api.funnels.funnel_queries import answer_from_snapshot, count_funnel
from interfaces.http.api.funnels.schemas import (
    FunnelConversion,
    FunnelPath,
    FunnelRevision,
    FunnelRevisionList,
    SavedFunnelCreate,
    SavedFunnelReplace,
    SavedFunnelResultParams,
    SavedFunnelWriteResult,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.definition_routes import Resource
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.http.query_routes import resolve_min_position, wait_for_position
from interfaces.service import Service


def _definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "funnel": Raw(definition.document),
    }


SAVED_FUNNELS = Resource(
    collection="/v1/funnels",
    noun="funnel",
    tag="funnels",
    commands=lambda service: SavedFunnelService(service.ledger),
    path_params=FunnelPath,
    create=SavedFunnelCreate,
    replace=SavedFunnelReplace,
    answer=SavedFunnelWriteResult,
    archived=SavedFunnelWriteResult,
    revision=FunnelRevision,
    revisions=FunnelRevisionList,
    create_summary="Create a saved funnel",
    replace_summary="Create or replace a saved funnel",
    archive_summary="Archive a saved funnel; its history is kept",
    history_summary="List a saved funnel's definitions with actor, time and reason",
    definition_json=_definition_json,
)

RESULT = f"{SAVED_FUNNELS.path}/result"


def saved_funnel_result_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Build the route of a saved funnel's current result."""
    funnels, limit = SavedFunnelService(service.ledger), ConcurrencyLimit()
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_path = params_reader(SavedFunnelResultParams, RESULT)

    @routes.get(
        RESULT,
        summary="Get the current result of a saved funnel",
        operation_id="get_funnel_result",
        response_model=FunnelConversion,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SavedFunnelResultParams, RESULT),
    )
    async def get_funnel_result(request: Request) -> Response:
        params, workspace = read_path(request), authenticated_key(request).workspace
        saved = await run_in_threadpool(funnels.find, workspace, params.id)
        answer = partial(count_funnel, saved.funnel)
        position = await resolve_min_position(service, workspace, params.min_position)
        args = (service, workspace, position, answer)
        return await wait_for_position(position, wait_seconds, limit, answer_from_snapshot, *args)

    return routes
