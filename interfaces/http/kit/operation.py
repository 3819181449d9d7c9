"""Routes that read parameters and a body, and answer with a model from a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from fastapi import APIRouter, Security
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.keys import ApiKey, ApiKeys, KeyKind
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

ADMIN: Sequence[KeyKind] = ("admin",)
READERS: Sequence[KeyKind] = ("read", "admin")


@dataclass(frozen=True)
class Operation:
    """A route, and what it executes."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    operation_id: str
    summary: str
    _: KW_ONLY
    keys: Sequence[KeyKind] = ADMIN
    """Kinds of keys that may call it."""

    params: type[BaseModel] = NoParams
    """Model of the path and the query string."""

    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    """Model of the answer; None: it has no body."""

    errors: Sequence[int] = (400, 401, 403, 503)
    status: int = 200
    deprecated: bool | None = None
    run: Callable[[ApiKey, Any, Any], BaseModel | None]
    """Executes it for a key, its parameters and its body; returns the answer."""


def operation_routes(keys: ApiKeys, tag: str, operations: Sequence[Operation]) -> APIRouter:
    """Build the routes of operations."""
    routes = APIRouter(tags=[tag], redirect_slashes=False)
    for operation in operations:
        _add_operation(routes, keys, operation)
    return routes


def _add_operation(routes: APIRouter, keys: ApiKeys, operation: Operation) -> None:
    read_params = params_reader(operation.params, operation.path)

    async def execute(request: Request) -> Response:
        params, body = read_params(request), None
        if operation.body is not None:
            body = await parse_body(request, operation.body)
        answer = await run_in_threadpool(operation.run, authenticated_key(request), params, body)
        if answer is None:
            return Response(status_code=204)
        return json_response(answer, operation.status)

    body = {} if operation.body is None else openapi_body(operation.body)
    routes.add_api_route(
        operation.path,
        execute,
        methods=[operation.method],
        status_code=operation.status,
        summary=operation.summary,
        operation_id=operation.operation_id,
        response_model=operation.answer,
        responses=error_responses(*operation.errors),
        openapi_extra=body | openapi_parameters(operation.params, operation.path),
        dependencies=[Security(require_key(keys, *operation.keys))],
        deprecated=operation.deprecated,
    )
