"""Rule routes: create, replace, enable, disable and archive, for admin keys."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Security
from msgspec import Raw
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.rules import RuleResult, RuleService
from interfaces.http.api.rules.schemas import (
    Rule,
    RuleCreate,
    RulePath,
    RuleReplace,
    RuleStatusUpdate,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import command_context
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service

PATH = "/v1/rules/{id}"


def rule_routes(service: Service) -> APIRouter:
    """Build the routes that define, enable, disable and archive rules."""
    rules = RuleService(service.ledger)
    routes = APIRouter(
        tags=["rules"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_path = params_reader(NoParams, "/v1/rules"), params_reader(RulePath, PATH)

    @routes.post(
        "/v1/rules",
        status_code=201,
        summary="Create a rule, disabled",
        operation_id="create_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(RuleCreate) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_rule(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, RuleCreate)
        result = await run_in_threadpool(
            rules.create,
            authenticated_key(request).workspace,
            payload.id,
            payload.definition,
            command_context(request, payload.reason),
        )
        return _response(result, 201 if result.changed else 200)

    @routes.put(
        PATH,
        summary="Create or replace a rule; enabled rules stay enabled",
        operation_id="define_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(RuleReplace, PATH),
    )
    async def define_rule(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, RuleReplace)
        command = partial(rules.define, version=payload.version)
        context = command_context(request, payload.reason)
        result = await run_in_threadpool(
            command, authenticated_key(request).workspace, path.id, payload.definition, context
        )
        return _response(result)

    @routes.delete(
        PATH,
        summary="Archive a rule; its history is kept",
        operation_id="archive_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(RuleStatusUpdate, PATH),
    )
    async def archive_rule(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, RuleStatusUpdate)
        command = partial(rules.archive, version=payload.version)
        context = command_context(request, payload.reason)
        return _response(
            await run_in_threadpool(command, authenticated_key(request).workspace, path.id, context)
        )

    def add_status_route(verb: Literal["enable", "disable"], summary: str) -> None:
        action_path = f"{PATH}/{verb}"
        read_action_path = params_reader(RulePath, action_path)

        @routes.post(
            action_path,
            summary=summary,
            operation_id=f"{verb}_rule",
            response_model=Rule,
            responses=error_responses(400, 401, 403, 404, 409, 413, 503),
            openapi_extra=_openapi(RuleStatusUpdate, action_path),
        )
        async def set_status(request: Request) -> Response:
            path, payload = read_action_path(request), await parse_body(request, RuleStatusUpdate)
            command = partial(rules.set_enabled, enabled=verb == "enable", version=payload.version)
            context = command_context(request, payload.reason)
            return _response(
                await run_in_threadpool(
                    command, authenticated_key(request).workspace, path.id, context
                )
            )

    add_status_route("enable", "Enable a rule")
    add_status_route("disable", "Disable a rule; its waiting runs are cancelled")
    return routes


def rule_json(result: RuleResult) -> dict[str, Any]:
    """Return the JSON form of a rule after a change."""
    rule = result.rule
    assert rule.definition is not None
    return {
        "id": rule.id,
        "name": rule.definition.name,
        "description": rule.definition.description,
        "rule": Raw(rule.definition.plan),
        "enabled": rule.enabled,
        "archived": rule.archived,
        "version": rule.version,
        "changed": result.changed,
        "position": result.position,
    }


def _openapi(body_model: type[BaseModel], path: str) -> dict[str, Any]:
    parameters = openapi_parameters(RulePath, path)["parameters"]
    return openapi_body(body_model) | {"parameters": [*parameters, idempotency.OPENAPI_PARAMETER]}


def _response(result: RuleResult, status: int = 200) -> Response:
    return Response(
        event_json.encode_json(rule_json(result)), status, media_type="application/json"
    )
