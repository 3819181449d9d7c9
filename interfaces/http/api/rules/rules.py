"""Saying what automation rules there are, and which of them act: for admin keys."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Security
from msgspec import Raw
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.rules import RuleResult, RuleService
from domain.core.errors import InvalidRequest
from domain.rules.definition import RULE_FIELDS
from domain.rules.rule import RuleVersion
from interfaces.http.api.segments.segments import (
    CommandReason,
    ExpectedVersion,
    ResourceId,
    command_context,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service

PATH = "/v1/rules/{id}"

RULE_EXAMPLES: list[JsonValue] = [
    {
        "name": "Price drop",
        "trigger": {"system_event": "price_dropped"},
        "audience": {
            "attribute": "favourite_item",
            "op": "eq",
            "value": {"$field": "properties.item_id"},
        },
        "cap": {"times": 1, "per": "7d"},
        "actions": [{"webhook": {"endpoint": "crm"}}],
    },
    {
        "name": "Left in the cart",
        "trigger": {"event": "added_to_cart"},
        "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        "wait": {
            "event": "Order Completed",
            "match": "properties.cart_id",
            "timeout": "24h",
            "else": [{"send_event": {"name": "cart_abandoned"}}],
        },
        "reentry": "not_while_waiting",
    },
]


class RulePath(BaseModel):
    """Which rule."""

    id: ResourceId


class RuleBase(BaseModel):
    """What a rule shall do."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": RULE_EXAMPLES})

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    trigger: Any = Field(
        description="What sets it off: `event` or `system_event` (a name or a pattern), `entered` or `left`"
        " (a segment), `attribute_changed` (an attribute), or `profile`: `created` or `merged`.  A fault"
        " anywhere is answered with its place: `details.path` is a JSON pointer."
    )
    where: Any = Field(
        None, description="Comparisons of what set it off, such as `properties.total`."
    )
    audience: Any = Field(
        None,
        description="For whom: a condition.  The value of an attribute may be a field of what set the rule"
        ' off: `{"$field": "properties.item_id"}`.',
    )
    delay: Any = Field(None, description="How long to wait first, such as `24h`.")
    wait: Any = Field(
        None,
        description="Wait for an `event` (and `where`; `match`: a path with the same value as in the event"
        " that set the rule off) until `timeout`; `then` and `else` are the actions.",
    )
    reentry: Any = Field(
        None,
        description='Whether to take a person again: `always`, `once`, `{"once_per": "7d"}`, or'
        " `not_while_waiting`.",
    )
    cap: Any = Field(
        None, description='How often it may fire for a person: `{"times": 3, "per": "7d"}`.'
    )
    priority: Any = Field(None, description="Rules with a higher one fire first.  0 unless said.")
    max_age: Any = Field(
        None, description="How old an event may be when it is recorded.  `72h` unless said."
    )
    on_merge: Any = Field(
        None,
        description="`always`: segments and attributes that a merge alone changes set it off, too.",
    )
    actions: Any = Field(
        None,
        description="What is done: `webhook`, `send_event`, `set_attribute`, `add_tag`, `remove_tag`.",
    )
    reason: CommandReason = ""

    @property
    def definition(self) -> RuleVersion:
        """The same in the words of the domain.  Raises InvalidRequest."""
        plan = {name: it for name in RULE_FIELDS if (it := getattr(self, name)) is not None}
        try:
            text = json.dumps(plan, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the rule is no JSON: {error}", path="") from None
        return RuleVersion(self.name, self.description, text.encode())


class RuleCreate(RuleBase):
    """What rule to make."""

    id: ResourceId | None = Field(None, description="Left out: made of the name.")


class RuleReplace(RuleBase):
    """What a rule shall be from now on."""

    version: ExpectedVersion = None


class RuleStatusUpdate(BaseModel):
    """Why a rule acts from now on, does nothing, or goes."""

    model_config = ConfigDict(extra="forbid")

    reason: CommandReason = ""
    version: ExpectedVersion = None


class Rule(BaseModel):
    """A rule as it was decided to be."""

    id: str
    name: str
    description: str
    rule: Any = Field(description="What it does: `trigger`, `audience`, `actions` and the rest.")
    enabled: bool = Field(description="Whether it acts on what happens.")
    archived: bool
    version: int = Field(description="How many decisions were taken about it.")
    changed: bool = Field(description="False: it was so already, and nothing was recorded.")
    position: int = Field(description="Of the decision in the ledger: for `min_position`.")


def rule_routes(service: Service) -> APIRouter:
    """Return the routes by which rules are defined, enabled, disabled and archived."""
    deciding = RuleService(service.ledger)
    routes = APIRouter(
        tags=["rules"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = params_reader(NoParams, "/v1/rules"), params_reader(RulePath, PATH)

    @routes.post(
        "/v1/rules",
        status_code=201,
        summary="Make a rule; it does nothing until it is enabled",
        operation_id="create_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(RuleCreate) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_rule(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, RuleCreate)
        made = await run_in_threadpool(
            deciding.create,
            authenticated_key(request).workspace,
            asked.id,
            asked.definition,
            command_context(request, asked.reason),
        )
        return _response(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a rule, or make it under this id; one that is enabled stays so",
        operation_id="define_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(RuleReplace, PATH),
    )
    async def define_rule(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, RuleReplace)
        act = partial(deciding.define, version=asked.version)
        by = command_context(request, asked.reason)
        made = await run_in_threadpool(
            act, authenticated_key(request).workspace, which.id, asked.definition, by
        )
        return _response(made)

    @routes.delete(
        PATH,
        summary="Archive a rule: it does nothing any more, what it did stays known",
        operation_id="archive_rule",
        response_model=Rule,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(RuleStatusUpdate, PATH),
    )
    async def archive_rule(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, RuleStatusUpdate)
        act = partial(deciding.archive, version=asked.version)
        by = command_context(request, asked.reason)
        return _response(
            await run_in_threadpool(act, authenticated_key(request).workspace, which.id, by)
        )

    def add_status_route(verb: Literal["enable", "disable"], summary: str) -> None:
        path = f"{PATH}/{verb}"
        read_path = params_reader(RulePath, path)

        @routes.post(
            path,
            summary=summary,
            operation_id=f"{verb}_rule",
            response_model=Rule,
            responses=error_responses(400, 401, 403, 404, 409, 413, 503),
            openapi_extra=_openapi(RuleStatusUpdate, path),
        )
        async def set_status(request: Request) -> Response:
            which, asked = read_path(request), await parse_body(request, RuleStatusUpdate)
            act = partial(deciding.set_enabled, enabled=verb == "enable", version=asked.version)
            by = command_context(request, asked.reason)
            return _response(
                await run_in_threadpool(act, authenticated_key(request).workspace, which.id, by)
            )

    add_status_route("enable", "Have a rule act on what happens from now on")
    add_status_route("disable", "Have a rule do nothing; whoever waits in it waits no more")
    return routes


def rule_json(result: RuleResult) -> dict[str, Any]:
    """Return what a decision came to as answers show it."""
    rule = result.rule
    assert rule.definition is not None
    return {
        "id": rule.id,
        "name": rule.definition.name,
        "description": rule.definition.description,
        "rule": Raw(rule.definition.plan),
        "enabled": rule.enabled,
        "archived": rule.archived,
        "version": rule.version,
        "changed": result.changed,
        "position": result.position,
    }


def _openapi(body_model: type[BaseModel], path: str) -> dict[str, Any]:
    taken = openapi_parameters(RulePath, path)["parameters"]
    return openapi_body(body_model) | {"parameters": [*taken, idempotency.OPENAPI_PARAMETER]}


def _response(result: RuleResult, status: int = 200) -> Response:
    return Response(
        event_json.encode_json(rule_json(result)), status, media_type="application/json"
    )
