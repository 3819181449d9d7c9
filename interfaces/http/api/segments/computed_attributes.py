"""Computed attributes as the API serves them, and the preview of one."""

from __future__ import annotations

import json
from typing import Any

from application.definitions.computed_attributes import ComputedAttributeService
from domain.core.time import format_utc, to_micros
from domain.definitions.definition import DefinitionVersion
from domain.segments.computed_attribute import parse_computation
from interfaces.http.api.segments.computed_attribute_schemas import (
    ComputedAttribute,
    ComputedAttributeCreate,
    ComputedAttributePath,
    ComputedAttributePreview,
    ComputedAttributePreviewRequest,
    ComputedAttributeReplace,
    ComputedAttributeRevision,
    ComputedAttributeRevisionList,
)
from interfaces.http.api.segments.preview import sample_json
from interfaces.http.kit.definition_resource import Resource, Schemas, Summaries
from interfaces.http.questions import Answer, Question, clock_of
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments


def _definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        **json.loads(definition.document),
    }


COMPUTED_ATTRIBUTES = Resource(
    "/v1/computed-attributes",
    "computed_attribute",
    "computed attributes",
    lambda service: ComputedAttributeService(service.ledger),
    schemas=Schemas(
        ComputedAttributePath,
        ComputedAttributeCreate,
        ComputedAttributeReplace,
        ComputedAttribute,
        ComputedAttributeRevision,
        ComputedAttributeRevisionList,
    ),
    summaries=Summaries(
        "Create a computed attribute: a value over events, or a score",
        "Create or replace a computed attribute; dependent segments are recomputed",
        "Archive a computed attribute that no segment uses",
        "List a computed attribute's definitions with actor, time and reason",
    ),
    archived=ComputedAttribute,
    definition_json=_definition_json,
)


def _prepare_preview(
    _service: Service, _workspace: int, payload: ComputedAttributePreviewRequest
) -> Answer:
    value = parse_computation(payload.computation)
    clock_now = clock_of(payload.as_of)

    def answer(reader: QueryReader) -> dict[str, Any]:
        clock = clock_now()
        preview = segments.preview_computed_value(
            reader.tx, reader.workspace, value, to_micros(clock), reader.projected_to
        )
        profiles = sample_json(reader, preview.sample)
        return {
            "count": preview.profiles,
            "sample": [{**p, "value": preview.sample[p["profile_id"]]} for p in profiles],
            "as_of": format_utc(clock),
        }

    return answer


COMPUTED_ATTRIBUTE_PREVIEW = Question(
    "/v1/computed-attributes/preview",
    "preview_computed_attribute",
    "Preview a computed attribute, now or as of an instant",
    "computed attributes",
    payload=ComputedAttributePreviewRequest,
    answer=ComputedAttributePreview,
    read_models=(segments.projection,),
    prepare=_prepare_preview,
)
