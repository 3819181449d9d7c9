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

from application.definitions.computed_attributes import (
    ComputedAttributeResult,
    ComputedAttributeService,
)
from domain.conditions import ReferencedValue
from domain.core.errors import InvalidRequest
from domain.core.time import format_utc, to_micros
from domain.segments.computed_attribute import ComputedAttributeVersion, parse_computation
from interfaces.http.api.segments.segments import (
    ArchiveRequest,
    CommandReason,
    ExpectedVersion,
    command_context,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.query_routes import query_reader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.checkpoint import common_position

COLLECTION = "/v1/computed-attributes"
PATH, PREVIEW_PATH = f"{COLLECTION}/{{id}}", f"{COLLECTION}/preview"
EXAMPLE_COMPUTATION: dict[str, Any] = {
    "fn": "count",
    "event": "Order Completed",
    "within": {"last": "30d"},
}


class ComputedAttributePath(BaseModel):
    """Which computed attribute."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `orders_30d`")


class ComputationBase(BaseModel):
    """What it is: as in a condition, without what it is compared with."""

    model_config = ConfigDict(extra="forbid")

    computed: Any = Field(None, description="A computation over the events that a person did.")
    score: Any = Field(None, description="Or conditions, and the points that each gives.")

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
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


class ComputedAttributeBase(ComputationBase):
    """What a computed attribute shall be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Orders of a month", "computed": EXAMPLE_COMPUTATION}]
        },
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    reason: CommandReason = ""

    @property
    def definition(self) -> ComputedAttributeVersion:
        """The same in the words of the domain.  Raises InvalidRequest."""
        return ComputedAttributeVersion(self.name, self.description, self.computation)


class ComputedAttributeCreate(ComputedAttributeBase):
    """What computed attribute to make."""

    id: str | None = Field(None, description="Left out: made of the name.")


class ComputedAttributeReplace(ComputedAttributeBase):
    """What it shall be from now on."""

    version: ExpectedVersion = None


class ComputedAttribute(BaseModel):
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


class ComputedAttributePreviewRequest(ComputationBase):
    """What to try, and when."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"computed": EXAMPLE_COMPUTATION}]}
    )

    as_of: str | None = Field(
        None,
        max_length=100,
        description="The clock: nothing that occurred later counts (a date or time without offset is"
        " UTC). Left out: now.",
    )


class ComputedAttributePreviewProfile(BaseModel):
    """Somebody, and the value."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    value: Any


class ComputedAttributePreview(BaseModel):
    """What it comes to."""

    count: int = Field(description="How many people have a value other than 0.")
    sample: list[ComputedAttributePreviewProfile] = Field(description="Some of them.")
    as_of: datetime
    projected_to: int


def computed_attribute_routes(service: Service) -> APIRouter:
    """Return the routes by which computed attributes are tried, defined and archived."""
    attributes, turns = ComputedAttributeService(service.ledger), ConcurrencyLimit()
    admin = [Security(require_key(service.keys, "admin"))]
    routes = APIRouter(tags=["computed attributes"], redirect_slashes=False)
    read_nothing, read_which = (
        params_reader(NoParams, COLLECTION),
        params_reader(ComputedAttributePath, PATH),
    )

    @routes.post(
        COLLECTION,
        status_code=201,
        summary="Make a computed attribute: a value over events, or a score",
        operation_id="create_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(ComputedAttributeCreate)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
        dependencies=admin,
    )
    async def create_computed_attribute(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, ComputedAttributeCreate)
        act = partial(
            attributes.create, authenticated_key(request).workspace, asked.id, asked.definition
        )
        made = await run_in_threadpool(act, command_context(request, asked.reason))
        return _response(made, 201 if made.changed else 200)

    @routes.post(
        PREVIEW_PATH,
        summary="Show what a computed attribute would come to, now or at any instant",
        operation_id="preview_computed_attribute",
        response_model=ComputedAttributePreview,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(ComputedAttributePreviewRequest),
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
    )
    async def preview_computed_attribute(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, ComputedAttributePreviewRequest)
        clock = datetime.now(UTC)
        if asked.as_of is not None:
            clock = instants.parse_instant(asked.as_of, UTC, "as_of")
        value = parse_computation(asked.computation)
        found = await turns.run(
            _preview_value, service, authenticated_key(request).workspace, value, clock
        )
        return Response(event_json.encode_json(found), media_type="application/json")

    @routes.put(
        PATH,
        summary="Change a computed attribute, or make it under this id; segments follow by themselves",
        operation_id="define_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(ComputedAttributeReplace),
        dependencies=admin,
    )
    async def define_computed_attribute(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, ComputedAttributeReplace)
        act = partial(attributes.define, version=asked.version)
        workspace, by = authenticated_key(request).workspace, command_context(request, asked.reason)
        return _response(await run_in_threadpool(act, workspace, which.id, asked.definition, by))

    @routes.delete(
        PATH,
        summary="Archive a computed attribute that no segment asks about",
        operation_id="archive_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
        dependencies=admin,
    )
    async def archive_computed_attribute(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, ArchiveRequest)
        act = partial(attributes.archive, version=asked.version)
        workspace, by = authenticated_key(request).workspace, command_context(request, asked.reason)
        return _response(await run_in_threadpool(act, workspace, which.id, by))

    return routes


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    taken = openapi_parameters(ComputedAttributePath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*taken, idempotency.OPENAPI_PARAMETER]}


def _response(result: ComputedAttributeResult, status: int = 200) -> Response:
    definition = result.attribute.definition
    assert definition is not None
    shown = {
        "id": result.attribute.id,
        "name": definition.name,
        "description": definition.description,
        **json.loads(definition.computation),
        "archived": result.attribute.archived,
        "version": result.attribute.version,
        "changed": result.changed,
        "position": result.position,
    }
    return Response(event_json.encode_json(shown), status, media_type="application/json")


def _preview_value(
    service: Service, workspace: int, value: ReferencedValue, clock: datetime
) -> dict[str, Any]:
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        found = segments.preview_computed_value(tx, workspace, value, to_micros(clock), position)
        asker = query_reader(service, tx, workspace, position)
        names = asker.identifiers(asker.profiles(found.sample).values())
    return {
        "count": found.profiles,
        "sample": [
            {
                "profile_id": it,
                "identifiers": [one._asdict() for one in names.get(it, ())],
                "value": value,
            }
            for it, value in found.sample.items()
        ],
        "as_of": format_utc(clock),
        "projected_to": position,
    }
