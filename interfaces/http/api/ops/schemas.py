"""What documents look like, for editors and code generators: public, as `/openapi.json` is."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from domain.conditions import CONDITIONS, schema
from domain.rules import schema as rules


def schema_routes() -> APIRouter:
    """Return the routes of the published schemas."""
    routes = APIRouter(redirect_slashes=False)
    condition = msgspec.json.encode(schema.schema_document(CONDITIONS))

    @routes.get("/v1/schemas/condition", include_in_schema=False)
    async def get_condition_schema() -> Response:
        return Response(condition, media_type="application/schema+json")

    rule = msgspec.json.encode(rules.document())

    @routes.get("/v1/schemas/rule", include_in_schema=False)
    async def get_rule_schema() -> Response:
        return Response(rule, media_type="application/schema+json")

    return routes
