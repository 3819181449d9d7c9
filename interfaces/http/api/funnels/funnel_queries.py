"""Ad-hoc funnels: conversion per step, and the profiles behind each step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from domain.core.time import format_utc
from domain.funnels.funnel import Funnel
from interfaces.http.api.funnels.schemas import (
    FunnelConversion,
    FunnelProfileList,
    FunnelProfilesQuery,
    FunnelQuery,
    FunnelStepParams,
)
from interfaces.http.questions import Question
from projections import timeline
from projections.funnels import counts
from projections.funnels.profile_walks import ProfileWalk, walk_profiles
from projections.kit import cursors
from projections.runtime.ports import ProfilePort

PATH = "/v1/funnels/query"
READ_MODELS = (timeline.projection,)


def count_funnel(funnel: Funnel, reader: ProfilePort) -> dict[str, Any]:
    """Compute a funnel's conversion as of now."""
    now = datetime.now(UTC)
    return counts.count_funnel(reader, funnel, now) | {"as_of": format_utc(now)}


def list_funnel_profiles(
    funnel: Funnel, params: FunnelStepParams, reader: ProfilePort
) -> dict[str, Any]:
    """List a page of the profiles that reached a step, as of now."""
    walks = walk_profiles(reader, funnel, datetime.now(UTC), after=cursor_profile_id(params))
    return profile_page(reader, walks, len(funnel.steps), params)


FUNNEL = Question(
    PATH,
    "query_funnel",
    "Compute funnel conversion, each profile counted once",
    "funnels",
    payload=FunnelQuery,
    answer=FunnelConversion,
    read_models=READ_MODELS,
    prepare=lambda _service, _workspace, payload: partial(count_funnel, payload.funnel),
)
FUNNEL_PROFILES = Question(
    f"{PATH}/profiles",
    "query_funnel_profiles",
    "List profiles that reached a funnel step, or dropped off after it",
    "funnels",
    payload=FunnelProfilesQuery,
    answer=FunnelProfileList,
    read_models=READ_MODELS,
    prepare=lambda _service, _workspace, payload: partial(
        list_funnel_profiles, payload.funnel, payload
    ),
)


def cursor_profile_id(params: FunnelStepParams) -> UUID | None:
    """Return the last profile id of the previous page, or None.  Raises InvalidRequest."""
    return None if params.cursor is None else cursors.decode_profile_id(params.cursor)


def profile_page(
    reader: ProfilePort, walks: Iterator[ProfileWalk], steps: int, params: FunnelStepParams
) -> dict[str, Any]:
    """Build a page of the profiles that reached a step, from walks ordered by profile id."""
    profiles, last = counts.list_profiles_at_step(
        reader, walks, steps, step=params.step, lost=params.lost, limit=params.limit
    )
    return {"profiles": profiles, "next": None if last is None else cursors.encode_text(str(last))}
