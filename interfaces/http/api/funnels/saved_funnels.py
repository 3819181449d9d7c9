"""Saved funnels as the API serves them, and the current result of one."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Raw

from application.definitions.saved_funnels import SavedFunnelService
from domain.definitions.definition import DefinitionVersion
from interfaces.http.api.funnels.funnel_queries import READ_MODELS, count_funnel
from interfaces.http.api.funnels.schemas import (
    FunnelConversion,
    FunnelPath,
    FunnelRevision,
    FunnelRevisionList,
    SavedFunnelCreate,
    SavedFunnelReplace,
    SavedFunnelResultParams,
    SavedFunnelWriteResult,
)
from interfaces.http.kit.definition_resource import Resource, Schemas, Summaries
from interfaces.http.questions import Answer, Question
from interfaces.service import Service


def _definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "funnel": Raw(definition.document),
    }


SAVED_FUNNELS = Resource(
    "/v1/funnels",
    "funnel",
    "funnels",
    lambda service: SavedFunnelService(service.ledger),
    schemas=Schemas(
        FunnelPath,
        SavedFunnelCreate,
        SavedFunnelReplace,
        SavedFunnelWriteResult,
        FunnelRevision,
        FunnelRevisionList,
    ),
    summaries=Summaries(
        "Create a saved funnel",
        "Create or replace a saved funnel",
        "Archive a saved funnel; its history is kept",
        "List a saved funnel's definitions with actor, time and reason",
    ),
    archived=SavedFunnelWriteResult,
    definition_json=_definition_json,
)


def _prepare_result(service: Service, workspace: int, payload: SavedFunnelResultParams) -> Answer:
    saved = SavedFunnelService(service.ledger).find(workspace, payload.id)
    return partial(count_funnel, saved.funnel)


SAVED_FUNNEL_RESULT = Question(
    f"{SAVED_FUNNELS.path}/result",
    "get_funnel_result",
    "Get the current result of a saved funnel",
    "funnels",
    method="GET",
    payload=SavedFunnelResultParams,
    answer=FunnelConversion,
    read_models=READ_MODELS,
    errors=(400, 401, 403, 404, 503),
    prepare=_prepare_result,
)
