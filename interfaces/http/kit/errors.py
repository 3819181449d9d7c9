"""Error responses of the native API: one status per error class, one body for all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from domain.core import errors
from domain.core.errors import FoldlineError, InvalidRequest, LedgerUnavailable, Overloaded

log = structlog.get_logger(__name__)

RETRY_AFTER = {"Retry-After": "1"}


class BodyTooLarge(InvalidRequest):
    """The body exceeds the limit of native requests."""

    code = "body_too_large"


class QueryTooSlow(InvalidRequest):
    """The query exceeded the statement timeout."""

    code = "query_too_slow"


STATUS_BY_ERROR: Mapping[type[FoldlineError], int] = {
    errors.InvalidRequest: 400,
    BodyTooLarge: 413,
    QueryTooSlow: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotProjectedYet: 503,
    errors.Overloaded: 503,
    errors.LedgerUnavailable: 503,
    errors.UnsafeServer: 503,
    errors.LedgerGap: 503,
}
"""HTTP status of every error that may reach a client.  Each new error of `domain.core.errors` needs a line."""

HIDDEN_DETAILS = (errors.LedgerUnavailable, errors.UnsafeServer)
"""Errors that go to the operator's log with their details (hosts, roles, settings), not to the client."""


class Problem(BaseModel):
    """Error response."""

    code: str = Field(description="Stable error code in snake_case, for programs.")
    message: str = Field(description="What is wrong and how to fix it.")
    details: dict[str, Any] = Field(description="Structured context, such as the parameter name.")


_COMPONENTS = "#/components/schemas"


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI ``responses`` of a route that may answer with these error statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            # Not by FastAPI's `model`: it would build the schema again for each of a thousand responses,
            # at every start.
            "content": {"application/json": {"schema": {"$ref": f"{_COMPONENTS}/Problem"}}},
        }
        for status in statuses
    }


def problem_response(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an error response.  Text that UTF-8 cannot encode is escaped."""
    body = {"code": code, "message": message, "details": details or {}}
    return Response(
        json.dumps(body, default=str).encode(),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def status_of(error: FoldlineError) -> int:
    """Return the HTTP status of an error."""
    return next(
        (STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR), 500
    )


def error_response(error: FoldlineError) -> Response:
    """Map an error to its HTTP response."""
    status = status_of(error)
    hidden = isinstance(error, HIDDEN_DETAILS)
    if hidden:
        log.warning("request_failed", code=error.code, message=str(error), **error.details)
    headers = {503: RETRY_AFTER, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    return problem_response(
        status, error.code, str(error), None if hidden else error.details, headers
    )


def install_error_handlers(api: FastAPI, driver_error: type[Exception]) -> None:
    """Register a handler for every error class, and publish `Problem` in the OpenAPI schema.

    ``driver_error`` is the base class of the database driver's errors, which ledger reads raise.
    """
    for kind, handler in (
        (FoldlineError, _on_foldline_error),
        (HTTPException, _on_http_exception),
        (RequestValidationError, _on_validation_error),
        (exc.DBAPIError, _on_database_error),
        (exc.TimeoutError, _on_pool_timeout),
        (driver_error, _on_database_error),
        (ClientDisconnect, _on_client_disconnect),
        (Exception, _on_unexpected_error),
    ):
        api.add_exception_handler(kind, handler)
    build_schema = api.openapi

    def openapi() -> dict[str, Any]:
        schema = build_schema()
        problem = Problem.model_json_schema(ref_template=f"{_COMPONENTS}/{{model}}")
        schema["components"]["schemas"].setdefault(Problem.__name__, problem)
        return schema

    api.openapi = openapi  # type: ignore[method-assign]


async def _on_foldline_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, FoldlineError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {"method": request.method, "path": request.url.path}
    if error.status_code == 404:
        message = f"no route {request.method} {request.url.path}; see /docs"
        return problem_response(404, "no_such_route", message, details)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{request.url.path} allows {allowed}, not {request.method}"
        return problem_response(405, "method_not_allowed", message, details, error.headers)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return problem_response(
        error.status_code, code, str(error.detail or phrase), None, error.headers
    )


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"in": str(location), "name": ".".join(map(str, names)), "problem": problem["msg"]}
        for problem in error.errors()
        for location, *names in (problem["loc"],)
    ]
    return error_response(validation_error(problems))


def validation_error(problems: Sequence[Mapping[str, str]]) -> InvalidRequest:
    """Build the error for an invalid request; each problem has ``in``, ``name`` and ``problem``."""
    text = "; ".join(f"{p['name'] or p['in']}: {p['problem']}" for p in problems)
    return InvalidRequest(f"invalid request: {text}", errors=problems)


async def _on_database_error(request: Request, error: Exception) -> Response:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate == "57014":
        return error_response(
            QueryTooSlow("the query timed out; narrow it, for example with from and to")
        )
    if sqlstate is not None and sqlstate[:2] == "22":
        log.warning("invalid_database_value", error=str(cause), route=_route(request))
        return error_response(InvalidRequest("a value is out of range or not valid text"))
    if sqlstate is None or sqlstate[:2] in {"08", "53", "57"} or sqlstate == "55P03":
        log.warning("database_unavailable", error=str(cause))
        return error_response(LedgerUnavailable("the database is unavailable; retry shortly"))
    return await _on_unexpected_error(request, error)


async def _on_pool_timeout(_: Request, __: Exception) -> Response:
    return error_response(Overloaded("too many concurrent queries; retry shortly"))


async def _on_client_disconnect(_: Request, __: Exception) -> Response:
    return problem_response(
        400,
        "client_disconnected",
        "the client disconnected before the request body was complete",
    )


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    log.error("unexpected_error", route=_route(request), method=request.method, exc_info=error)
    return problem_response(500, "internal_error", "internal error; the server has logged it")


def _route(request: Request) -> str | None:
    """Return the route's pattern: the path itself may contain an identifier."""
    return getattr(request.scope.get("route"), "path", None)
