"""How a refusal looks over HTTP: one status for each kind of error, one body for all of them."""

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
    """The body is larger than any request of the native API needs to be."""

    code = "body_too_large"


class QueryTooSlow(InvalidRequest):
    """The question would take the database too long."""

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
"""Every error that may reach a client.  A new one in `domain.core.errors` gets its line here."""

HIDDEN_DETAILS = (errors.LedgerUnavailable, errors.UnsafeServer)
"""Their facts (hosts, roles, settings) are for the operator's log, not for the client."""


class Problem(BaseModel):
    """The body of every refusal."""

    code: str = Field(description="Names the rule, in snake_case; programs compare this.")
    message: str = Field(description="What is wrong and what to do about it.")
    details: dict[str, Any] = Field(description="The facts, such as which parameter.")


_COMPONENTS = "#/components/schemas"


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these refusals."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            # Not by FastAPI's `model`: it would make one anew for each of a thousand, at every start.
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
    """Return a refusal.  Its text may hold anything: what UTF-8 cannot say is escaped."""
    body = {"code": code, "message": message, "details": details or {}}
    return Response(
        json.dumps(body, default=str).encode(),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def error_response(error: FoldlineError) -> Response:
    """Return the answer to a request that was refused."""
    status = next(
        (STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR), 500
    )
    told = not isinstance(error, HIDDEN_DETAILS)
    if not told:
        log.warning("refused", code=error.code, message=str(error), **error.details)
    headers = {503: RETRY_AFTER, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    return problem_response(
        status, error.code, str(error), error.details if told else None, headers
    )


def install_error_handlers(api: FastAPI, driver_error: type[Exception]) -> None:
    """Give every error of the application its answer, and its place in the documentation.

    ``driver_error`` is the base of the database driver's own errors, which reads of the ledger raise.
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
    described = api.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        problem = Problem.model_json_schema(ref_template=f"{_COMPONENTS}/{{model}}")
        schema["components"]["schemas"].setdefault(Problem.__name__, problem)
        return schema

    api.openapi = openapi  # type: ignore[method-assign]


async def _on_foldline_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, FoldlineError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    facts = {"method": request.method, "path": request.url.path}
    if error.status_code == 404:
        told = f"there is no {request.method} {request.url.path}; /docs lists what there is"
        return problem_response(404, "no_such_route", told, facts)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        told = f"{request.url.path} takes {allowed}, not {request.method}"
        return problem_response(405, "method_not_allowed", told, facts, error.headers)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return problem_response(
        error.status_code, code, str(error.detail or phrase), None, error.headers
    )


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"in": str(place), "name": ".".join(map(str, names)), "problem": it["msg"]}
        for it in error.errors()
        for place, *names in (it["loc"],)
    ]
    return error_response(validation_error(wrong))


def validation_error(problems: Sequence[Mapping[str, str]]) -> InvalidRequest:
    """Return the refusal of a request, by its wrong parts: each with ``in``, ``name``, ``problem``."""
    told = "; ".join(f"{it['name'] or it['in']}: {it['problem']}" for it in problems)
    return InvalidRequest(f"correct this and send it again: {told}", errors=problems)


async def _on_database_error(request: Request, error: Exception) -> Response:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if state == "57014":
        return error_response(
            QueryTooSlow("this takes the database too long; narrow it, for example by from and to")
        )
    if state is not None and state[:2] == "22":
        log.warning("the database refused a value", error=str(cause), route=_route(request))
        return error_response(
            InvalidRequest("a value cannot be used: it is out of range or not a text")
        )
    if state is None or state[:2] in {"08", "53", "57"} or state == "55P03":
        log.warning("the database does not answer", error=str(cause))
        return error_response(LedgerUnavailable("the database does not answer; try again shortly"))
    return await _on_unexpected_error(request, error)


async def _on_pool_timeout(_: Request, __: Exception) -> Response:
    return error_response(Overloaded("too many questions at once; try again shortly"))


async def _on_client_disconnect(_: Request, __: Exception) -> Response:
    return problem_response(400, "client_disconnected", "the request ended before its body did")


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    log.error("unexpected error", route=_route(request), method=request.method, exc_info=error)
    return problem_response(
        500, "internal_error", "this is a fault of the server, which has logged it"
    )


def _route(request: Request) -> str | None:
    """Return the route's pattern; the path itself may name a person."""
    return getattr(request.scope.get("route"), "path", None)
