"""Goals: conversion of exposed profiles within a window."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from domain.core.time import format_utc
from domain.funnels.goals import Goal
from interfaces.http.api.funnels.funnel_queries import cursor_profile_id, profile_page
from interfaces.http.api.funnels.schemas import (
    FunnelProfileList,
    FunnelStepParams,
    GoalConversion,
    GoalProfilesQuery,
    GoalQuery,
)
from interfaces.http.questions import Question
from projections import channel_funnels, timeline
from projections.funnels import goals
from projections.runtime.ports import ProfilePort

PATH = "/v1/goals/query"
READ_MODELS = (timeline.projection, channel_funnels.projection)


def _count_goal(goal: Goal, reader: ProfilePort) -> dict[str, Any]:
    now = datetime.now(UTC)
    return goals.count_goal(reader, goal, now) | {"as_of": format_utc(now)}


def _list_goal_profiles(
    goal: Goal, params: FunnelStepParams, reader: ProfilePort
) -> dict[str, Any]:
    walks = goals.exposed_profiles(reader, goal, datetime.now(UTC), after=cursor_profile_id(params))
    return profile_page(reader, walks, 2, params)


GOAL = Question(
    PATH,
    "query_goal",
    "Compute goal conversion after an exposure, each profile counted once",
    "funnels",
    payload=GoalQuery,
    answer=GoalConversion,
    read_models=READ_MODELS,
    prepare=lambda _service, _workspace, payload: partial(_count_goal, payload.goal_definition),
)
GOAL_PROFILES = Question(
    f"{PATH}/profiles",
    "query_goal_profiles",
    "List converted profiles (step 2) or exposed ones that did not convert (step 1, lost)",
    "funnels",
    payload=GoalProfilesQuery,
    answer=FunnelProfileList,
    read_models=READ_MODELS,
    prepare=lambda _service, _workspace, payload: partial(
        _list_goal_profiles, payload.goal_definition, payload
    ),
)
