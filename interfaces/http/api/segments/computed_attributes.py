"""Saying what computed attributes there are, for admin keys; and trying one before that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.computed_attributes import ComputedAttributes, Outcome
from domain.conditions import Value
from domain.core.errors import InvalidRequest
from domain.core.time import to_micros
from domain.segments.computed_attribute import Definition, value_of
from interfaces.http.api.segments.segments import Archive, Reason, Version, decision
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.http.queries import reader_of
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ShownIdentifier
from projections.runtime.checkpoint import reached

COLLECTION = "/v1/computed-attributes"
PATH, PREVIEW = f"{COLLECTION}/{{id}}", f"{COLLECTION}/preview"
ORDERS: dict[str, Any] = {"fn": "count", "event": "Order Completed", "within": {"last": "30d"}}


class Which(BaseModel):
    """Which computed attribute."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `orders_30d`")


class What(BaseModel):
    """What it is: as in a condition, without what it is compared with."""

    model_config = ConfigDict(extra="forbid")

    computed: Any = Field(None, description="A computation over the events that a person did.")
    score: Any = Field(None, description="Or conditions, and the points that each gives.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.computed is None) == (self.score is None):
            raise ValueError("give either `computed` or `score`")
        return self

    @property
    def computation(self) -> bytes:
        """The same as JSON.  Raises InvalidRequest."""
        key = "score" if self.computed is None else "computed"
        try:
            return json.dumps({key: getattr(self, key)}, allow_nan=False).encode()
        except ValueError as error:
            raise InvalidRequest(f"this is no JSON: {error}", path="") from None


class Wanted(What):
    """What a computed attribute shall be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Orders of a month", "computed": ORDERS}]},
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    reason: Reason = ""

    @property
    def definition(self) -> Definition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        return Definition(self.name, self.description, self.computation)


class New(Wanted):
    """What computed attribute to make."""

    id: str | None = Field(None, description="Left out: made of the name.")


class Changed(Wanted):
    """What it shall be from now on."""

    version: Version = None


class Decided(BaseModel):
    """A computed attribute as it was decided to be."""

    id: str
    name: str
    description: str
    computed: Any = None
    score: Any = None
    archived: bool
    version: int = Field(description="How many decisions were taken about it.")
    changed: bool = Field(description="False: it was so already, and nothing was recorded.")
    position: int = Field(description="Of the decision in the ledger: for `min_position`.")


class Tried(What):
    """What to try, and when."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"computed": ORDERS}]}
    )

    as_of: str | None = Field(
        None,
        max_length=100,
        description="The clock: nothing that occurred later counts (a date or time without offset is"
        " UTC). Left out: now.",
    )


class Somebody(BaseModel):
    """Somebody, and the value."""

    profile_id: UUID
    identifiers: list[ShownIdentifier]
    value: Any


class Previewed(BaseModel):
    """What it comes to."""

    count: int = Field(description="How many people have a value other than 0.")
    sample: list[Somebody] = Field(description="Some of them.")
    as_of: datetime
    projected_to: int


def computed_attributes(service: Service) -> APIRouter:
    """Return the routes by which computed attributes are tried, defined and archived."""
    attributes, turns = ComputedAttributes(service.ledger), Turns()
    admin = [Security(allow(service.keys, "admin"))]
    routes = APIRouter(tags=["computed attributes"], redirect_slashes=False)
    read_nothing, read_which = reader(Nothing, COLLECTION), reader(Which, PATH)

    @routes.post(
        COLLECTION,
        status_code=201,
        summary="Make a computed attribute: a value over events, or a score",
        operation_id="create_computed_attribute",
        response_model=Decided,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(New) | {"parameters": [idempotency.HEADER]},
        dependencies=admin,
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, New)
        act = partial(attributes.create, key_of(request).workspace, asked.id, asked.definition)
        made = await run_in_threadpool(act, decision(request, asked.reason))
        return _answered(made, 201 if made.changed else 200)

    @routes.post(
        PREVIEW,
        summary="Show what a computed attribute would come to, now or at any instant",
        operation_id="preview_computed_attribute",
        response_model=Previewed,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(Tried),
        dependencies=[Security(allow(service.keys, "read", "admin"))],
    )
    async def preview(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Tried)
        clock = datetime.now(UTC)
        if asked.as_of is not None:
            clock = instants.instant(asked.as_of, UTC, "as_of")
        value = value_of(asked.computation)
        found = await turns.take(_preview, service, key_of(request).workspace, value, clock)
        return Response(event_json.encode(found), media_type="application/json")

    @routes.put(
        PATH,
        summary="Change a computed attribute, or make it under this id; segments follow by themselves",
        operation_id="define_computed_attribute",
        response_model=Decided,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=_taking(Changed),
        dependencies=admin,
    )
    async def define(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Changed)
        act = partial(attributes.define, version=asked.version)
        workspace, by = key_of(request).workspace, decision(request, asked.reason)
        return _answered(await run_in_threadpool(act, workspace, which.id, asked.definition, by))

    @routes.delete(
        PATH,
        summary="Archive a computed attribute that no segment asks about",
        operation_id="archive_computed_attribute",
        response_model=Decided,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_taking(Archive),
        dependencies=admin,
    )
    async def archive(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Archive)
        act = partial(attributes.archive, version=asked.version)
        workspace, by = key_of(request).workspace, decision(request, asked.reason)
        return _answered(await run_in_threadpool(act, workspace, which.id, by))

    return routes


def _taking(model: type[BaseModel]) -> dict[str, Any]:
    taken = parameters(Which, PATH)["parameters"]
    return body(model) | {"parameters": [*taken, idempotency.HEADER]}


def _answered(made: Outcome, status: int = 200) -> Response:
    definition = made.attribute.definition
    assert definition is not None
    shown = {
        "id": made.attribute.id,
        "name": definition.name,
        "description": definition.description,
        **json.loads(definition.computation),
        "archived": made.attribute.archived,
        "version": made.attribute.version,
        "changed": made.changed,
        "position": made.position,
    }
    return Response(event_json.encode(shown), status, media_type="application/json")


def _preview(service: Service, workspace: int, value: Value, clock: datetime) -> dict[str, Any]:
    with service.engine.connect() as tx:
        position = reached(tx, workspace, segments.projection, identity)
        found = segments.values_at(tx, workspace, value, to_micros(clock), position)
        asker = reader_of(service, tx, workspace, position)
        names = asker.names(asker.persons(found.sample).values())
    return {
        "count": found.people,
        "sample": [
            {
                "profile_id": it,
                "identifiers": [one._asdict() for one in names.get(it, ())],
                "value": value,
            }
            for it, value in found.sample.items()
        ],
        "as_of": instants.shown(clock),
        "projected_to": position,
    }
