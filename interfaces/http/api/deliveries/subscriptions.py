"""Outbound streams: what is recorded goes on to an endpoint; for admin keys, what there is for read keys as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Security
from msgspec import json
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.subscriptions import Stream
from domain.delivery import event_filter
from domain.delivery.event_filter import Definition
from domain.events.message import MessageKind
from interfaces.http.api.deliveries.endpoints import EndpointParams, Text
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service
from projections.kit import cursors

ALL = "/v1/streams"
PATH = f"{ALL}/{{id}}"

T = TypeVar("T")


class Which(BaseModel):
    """Which stream."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `warehouse`")


class WantedStream(BaseModel):
    """What a stream shall send, and where."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "endpoint": "crm",
                    "events": ["Order Completed", {"matching": "Email *"}],
                    "where": [{"path": "properties.total", "op": "gte", "value": 100}],
                }
            ]
        },
    )

    endpoint: Text = Field(max_length=64)
    name: Text = Field(
        "", description="What messages call it by in their `integrations`, beside its id."
    )
    events: list[str | dict[str, Any]] = Field(
        [], description='Names, and patterns such as `{"matching": "Order*"}`; none: all.'
    )
    kinds: list[MessageKind] = Field([], description="None: all.")
    where: list[dict[str, Any]] = Field([], description="As in conditions; all have to hold.")
    paused: bool = Field(False, description="Sends nothing for now, and goes on from where it is.")

    @property
    def wanted(self) -> Definition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        return event_filter.read(self.model_dump(include=set(WantedStream.model_fields)))


class NewStream(WantedStream):
    """What stream to make."""

    id: Text | None = Field(None, max_length=64, description="Left out: one is made up.")
    after: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        alias="from",
        description="Begin with what follows this position; left out: with what is recorded next.",
    )


class KnownStream(WantedStream):
    """A stream, and how far it is."""

    id: str
    version: int = Field(description="How often it was defined.")
    position: int = Field(description="Up to here everything is sent, or waits to be.")
    created_at: Instant


class StreamList(Listed):
    """Streams, by id."""

    streams: list[KnownStream]


def streams(service: Service) -> APIRouter:
    """Return the routes of outbound streams."""
    kept = service.outgoing.streams
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    admin = [Security(allow(service.keys, "admin"))]
    anyone = [Security(allow(service.keys, "read", "admin"))]
    read_nothing, read_page = reader(Nothing, ALL), reader(EndpointParams, ALL)
    read_which = reader(Which, PATH)

    @routes.post(
        ALL,
        status_code=201,
        summary="Send on what is recorded, as webhooks; in which order they arrive is not promised",
        operation_id="create_stream",
        response_model=KnownStream,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(NewStream),
        dependencies=admin,
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, NewStream)
        made = await _done(request, kept.create, asked.id, asked.wanted, asked.after)
        return answered(_shown(made), 201)

    @routes.get(
        ALL,
        summary="Streams, and how far each is",
        operation_id="list_streams",
        response_model=StreamList,
        responses=documented(400, 401, 403, 503),
        openapi_extra=parameters(EndpointParams, ALL),
        dependencies=anyone,
    )
    async def listed(request: Request) -> Response:
        asked = read_page(request)
        return answered(await run_in_threadpool(_listed, service, key_of(request).workspace, asked))

    @routes.get(
        PATH,
        summary="One stream, and how far it is",
        operation_id="get_stream",
        response_model=KnownStream,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, PATH),
        dependencies=anyone,
    )
    async def one(request: Request) -> Response:
        return answered(_shown(await _done(request, kept.get, read_which(request).id)))

    @routes.put(
        PATH,
        summary="Change what a stream sends, from where it is",
        operation_id="change_stream",
        response_model=KnownStream,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=body(WantedStream) | parameters(Which, PATH),
        dependencies=admin,
    )
    async def change(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, WantedStream)
        return answered(_shown(await _done(request, kept.change, which.id, asked.wanted)))

    @routes.delete(
        PATH,
        status_code=204,
        summary="Remove a stream; what it has taken in is sent all the same",
        operation_id="delete_stream",
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, PATH),
        dependencies=admin,
    )
    async def delete(request: Request) -> Response:
        await _done(request, kept.delete, read_which(request).id)
        return Response(status_code=204)

    return routes


async def _done(request: Request, act: Callable[..., T], *facts: object) -> T:
    return await run_in_threadpool(partial(act, key_of(request).workspace, *facts))


def _listed(service: Service, workspace: int, asked: EndpointParams) -> StreamList:
    after = "" if asked.cursor is None else cursors.text(asked.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = service.outgoing.streams.list(workspace, after, asked.limit + 1)
    page = found[: asked.limit]
    return StreamList(
        streams=[_shown(it) for it in page],
        next=cursors.after_text(page[-1].id) if len(found) > len(page) else None,
        projected_to=head,
    )


def _shown(it: Stream) -> KnownStream:
    facts = {"id": it.id, "version": it.version, "position": it.position}
    return KnownStream.model_validate(
        json.decode(it.definition) | facts | {"created_at": it.created_at}
    )
