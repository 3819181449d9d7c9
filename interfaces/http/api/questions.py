"""Registry of the questions that the API answers.  A new question is its line here."""

from __future__ import annotations

from interfaces.http.api.funnels.funnel_queries import FUNNEL, FUNNEL_PROFILES
from interfaces.http.api.funnels.goal_queries import GOAL, GOAL_PROFILES
from interfaces.http.api.funnels.saved_funnels import SAVED_FUNNEL_RESULT
from interfaces.http.api.rules.dry_run import DRY_RUN
from interfaces.http.api.segments.computed_attributes import COMPUTED_ATTRIBUTE_PREVIEW
from interfaces.http.api.segments.preview import SEGMENT_PREVIEW
from interfaces.http.questions import Question

QUESTIONS: tuple[Question, ...] = (
    FUNNEL,
    FUNNEL_PROFILES,
    SAVED_FUNNEL_RESULT,
    GOAL,
    GOAL_PROFILES,
    SEGMENT_PREVIEW,
    COMPUTED_ATTRIBUTE_PREVIEW,
    DRY_RUN,
)
