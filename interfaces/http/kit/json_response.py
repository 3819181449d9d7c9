"""Answers of the native API: lists of one shape, times of one spelling."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer
from starlette.responses import Response


def rfc3339(instant: datetime) -> str:
    """Return the instant in UTC with microseconds, such as ``2026-01-02T03:04:05.000006Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Instant = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]


class Page(BaseModel):
    """What every list has beside its rows."""

    next: str | None = Field(default=None, description="Cursor of the next page; null at the end.")
    projected_to: int = Field(description="Position of the ledger that the rows account for.")


def json_response(answer: BaseModel, status: int = 200) -> Response:
    """Return a model as JSON; it is not validated again on its way out."""
    body = answer.__pydantic_serializer__.to_json(answer, by_alias=True)
    return Response(body, status_code=status, media_type="application/json")
