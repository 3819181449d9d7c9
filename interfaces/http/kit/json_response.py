"""JSON responses of the native API: pages of one shape, RFC 3339 times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer
from starlette.responses import Response


def rfc3339(instant: datetime) -> str:
    """Format an instant in UTC with microseconds, such as ``2026-01-02T03:04:05.000006Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Instant = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]


class Page(BaseModel):
    """Fields of every list besides its rows."""

    next: str | None = Field(default=None, description="Cursor of the next page; null on the last.")
    projected_to: int = Field(description="Ledger position the rows reflect.")


def json_response(body: BaseModel, status: int = 200) -> Response:
    """Build a response from a model, without validating it a second time."""
    content = body.__pydantic_serializer__.to_json(body, by_alias=True)
    return Response(content, status_code=status, media_type="application/json")
