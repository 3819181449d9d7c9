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
from interfaces.http.kit.definition_routes import Resource


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
    collection="/v1/segments",
    noun="segment",
    tag="segments",
    commands=lambda service: SegmentService(service.ledger),
    path_params=SegmentPath,
    create=SegmentCreate,
    replace=SegmentReplace,
    answer=Segment,
    archived=Segment,
    revision=SegmentRevision,
    revisions=SegmentRevisionList,
    create_summary="Create a segment from a condition, or a manual list",
    replace_summary="Create or replace a segment; members are recomputed automatically",
    archive_summary="Archive a segment: all members leave; its history is kept",
    history_summary="List a segment's definitions with actor, time and reason",
    definition_json=definition_json,
)
