"""Segment preview: matching profiles of a condition, without defining a segment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from domain.conditions import parse_condition
from domain.core.time import format_utc, to_micros
from interfaces.http.api.segments.schemas import SegmentPreview, SegmentPreviewRequest
from interfaces.http.questions import Answer, Question, clock_of
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments


def _prepare(_service: Service, _workspace: int, payload: SegmentPreviewRequest) -> Answer:
    condition = parse_condition(payload.condition, allow_references=True)
    clock_now = clock_of(payload.as_of)

    def answer(reader: QueryReader) -> dict[str, Any]:
        clock = clock_now()
        preview = segments.preview_condition(
            reader.tx, reader.workspace, condition, to_micros(clock), reader.projected_to
        )
        return {
            "count": preview.profiles,
            "sample": sample_json(reader, preview.sample),
            "conditions": [{"path": path, "count": n} for path, n in preview.by_path.items()],
            "as_of": format_utc(clock),
        }

    return answer


def sample_json(reader: QueryReader, sample: Iterable[UUID]) -> list[dict[str, Any]]:
    """Return the ids and identifiers of a sample's profiles."""
    profile_ids = list(sample)
    identifiers = reader.identifiers(reader.profiles(profile_ids).values())
    return [
        {
            "profile_id": profile_id,
            "identifiers": [identifier._asdict() for identifier in identifiers.get(profile_id, ())],
        }
        for profile_id in profile_ids
    ]


SEGMENT_PREVIEW = Question(
    "/v1/segments/preview",
    "preview_segment",
    "Preview a condition: count matching profiles, in total and per part",
    "segments",
    payload=SegmentPreviewRequest,
    answer=SegmentPreview,
    read_models=(segments.projection,),
    prepare=_prepare,
)
