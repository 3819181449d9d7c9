"""Segments as the API serves them: what differs from other definitions."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from application.definitions.segments import SegmentService
from domain.definitions.definition import DefinitionVersion
from interfaces.http.api.segments.schemas import (
    Segment,
    SegmentCreate,
    SegmentPath,
    SegmentReplace,
    SegmentRevision,
    SegmentRevisionList,
)
from interfaces.http.kit.definition_resource import Resource, Schemas, Summaries


def definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    """Return the JSON form of a segment's definition."""
    condition = definition.document
    return {
        "name": definition.name,
        "description": definition.description,
        "manual": not condition,
        "condition": Raw(condition) if condition else None,
    }


SEGMENTS = Resource(
    "/v1/segments",
    "segment",
    "segments",
    lambda service: SegmentService(service.ledger),
    schemas=Schemas(
        SegmentPath, SegmentCreate, SegmentReplace, Segment, SegmentRevision, SegmentRevisionList
    ),
    summaries=Summaries(
        "Create a segment from a condition, or a manual list",
        "Create or replace a segment; members are recomputed automatically",
        "Archive a segment: all members leave; its history is kept",
        "List a segment's definitions with actor, time and reason",
    ),
    archived=Segment,
    definition_json=definition_json,
)
