"""JSON schemas of conditions and rules, for editors; public like `/openapi.json`."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from domain.conditions import CONDITIONS
from domain.conditions import schema as condition_schema
from domain.rules import schema as rule_schema


def schema_routes() -> APIRouter:
    """Build the routes of `/v1/schemas`; the documents are encoded once."""
    routes = APIRouter(redirect_slashes=False)
    condition = msgspec.json.encode(condition_schema.schema_document(CONDITIONS))

    @routes.get("/v1/schemas/condition", include_in_schema=False)
    async def get_condition_schema() -> Response:
        return Response(condition, media_type="application/schema+json")

    rule = msgspec.json.encode(rule_schema.document())

    @routes.get("/v1/schemas/rule", include_in_schema=False)
    async def get_rule_schema() -> Response:
        return Response(rule, media_type="application/schema+json")

    return routes
