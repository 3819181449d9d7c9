"""Routes of questions: each `Question` is answered from one snapshot of read models.

Unlike a `Query`, which looks rows up, a question may scan all events of a workspace.  All questions of a process
share one limit, so that they leave threads for queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Security
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.event_json import encode_json
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.query_routes import (
    MinPosition,
    ReadModelBehind,
    resolve_min_position,
    wait_for_position,
)
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections.identity import projection as identity
from projections.kit import instants
from projections.runtime.checkpoint import common_position
from projections.runtime.projection import Projection

Answer = Callable[[QueryReader], Mapping[str, Any]]
"""Returns the JSON form of an answer from a snapshot; the position is added to it."""


class QuestionBody(BaseModel):
    """What every question takes."""

    min_position: MinPosition = None


@dataclass(frozen=True)
class Question:
    """A question over the events of a workspace."""

    path: str
    operation_id: str
    summary: str
    tag: str
    _: KW_ONLY
    payload: type[QuestionBody]
    """Model of the body, or of path and query string if the method is GET."""

    answer: type[BaseModel]
    read_models: Sequence[Projection]
    """Read models of the answer besides identity."""

    prepare: Callable[[Service, int, Any], Answer]
    """Returns how to answer, of a workspace and the payload.  Raises InvalidRequest and NotFound."""

    method: Literal["GET", "POST"] = "POST"
    errors: Sequence[int] = (400, 401, 403, 413, 503)


def question_routes(
    service: Service, questions: Iterable[Question], *, wait_seconds: float
) -> APIRouter:
    """Build the routes of questions.  ``min_position`` waits at most ``wait_seconds``."""
    routes, limit = APIRouter(redirect_slashes=False), ConcurrencyLimit()
    for question in questions:
        _add_question(routes, service, question, limit, wait_seconds)
    return routes


def clock_of(as_of: str | None) -> Callable[[], datetime]:
    """Return how to find the instant of a question: ``as_of``, or the time of the call."""
    if as_of is None:
        return partial(datetime.now, UTC)
    instant = instants.parse_instant(as_of, UTC, "as_of")
    return lambda: instant


def _add_question(
    routes: APIRouter,
    service: Service,
    question: Question,
    limit: ConcurrencyLimit,
    wait_seconds: float,
) -> None:
    params_model = question.payload if question.method == "GET" else NoParams
    read_params = params_reader(params_model, question.path)

    async def execute(request: Request) -> Response:
        payload: Any = read_params(request)
        if question.method == "POST":
            payload = await parse_body(request, question.payload)
        workspace = authenticated_key(request).workspace
        answer = await run_in_threadpool(question.prepare, service, workspace, payload)
        position = await resolve_min_position(service, workspace, payload.min_position)
        args = (service, workspace, position, answer, question.read_models)
        return await wait_for_position(position, wait_seconds, limit, answer_from_snapshot, *args)

    body = openapi_body(question.payload) if question.method == "POST" else {}
    routes.add_api_route(
        question.path,
        execute,
        methods=[question.method],
        tags=[question.tag],
        summary=question.summary,
        operation_id=question.operation_id,
        response_model=question.answer,
        responses=error_responses(*question.errors),
        openapi_extra=body | openapi_parameters(params_model, question.path),
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
    )


def answer_from_snapshot(
    service: Service,
    workspace: int,
    position: int,
    answer: Answer,
    read_models: Sequence[Projection],
) -> bytes | ReadModelBehind:
    """Answer from one snapshot; `ReadModelBehind` if a read model has not reached ``position``."""
    with service.engine.connect() as tx:
        projected_to = min(
            common_position(tx, workspace, read_model, identity) for read_model in read_models
        )
        if projected_to < position:
            return ReadModelBehind(position=projected_to)
        reader = QueryReader(service.ledger, tx, workspace, projected_to)
        return encode_json({**answer(reader), "projected_to": projected_to})
