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

from application.definitions.rules import Outcome, Rules
from domain.core.errors import InvalidRequest
from domain.rules.definition import MEMBERS
from domain.rules.rule import Definition
from interfaces.http.api.segments.segments import Id, Reason, Version, decision
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service

PATH = "/v1/rules/{id}"

EXAMPLES: list[JsonValue] = [
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


class Which(BaseModel):
    """Which rule."""

    id: Id


class Wanted(BaseModel):
    """What a rule shall do."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

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
    reason: Reason = ""

    @property
    def definition(self) -> Definition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        plan = {name: it for name in MEMBERS if (it := getattr(self, name)) is not None}
        try:
            text = json.dumps(plan, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the rule is no JSON: {error}", path="") from None
        return Definition(self.name, self.description, text.encode())


class New(Wanted):
    """What rule to make."""

    id: Id | None = Field(None, description="Left out: made of the name.")


class Changed(Wanted):
    """What a rule shall be from now on."""

    version: Version = None


class Decree(BaseModel):
    """Why a rule acts from now on, does nothing, or goes."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""
    version: Version = None


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


def rules(service: Service) -> APIRouter:
    """Return the routes by which rules are defined, enabled, disabled and archived."""
    deciding = Rules(service.ledger)
    routes = APIRouter(
        tags=["rules"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = reader(Nothing, "/v1/rules"), reader(Which, PATH)

    @routes.post(
        "/v1/rules",
        status_code=201,
        summary="Make a rule; it does nothing until it is enabled",
        operation_id="create_rule",
        response_model=Rule,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(New) | {"parameters": [idempotency.HEADER]},
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, New)
        made = await run_in_threadpool(
            deciding.create,
            key_of(request).workspace,
            asked.id,
            asked.definition,
            decision(request, asked.reason),
        )
        return _answered(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a rule, or make it under this id; one that is enabled stays so",
        operation_id="define_rule",
        response_model=Rule,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=_taking(Changed, PATH),
    )
    async def define(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Changed)
        act = partial(deciding.define, version=asked.version)
        by = decision(request, asked.reason)
        made = await run_in_threadpool(
            act, key_of(request).workspace, which.id, asked.definition, by
        )
        return _answered(made)

    @routes.delete(
        PATH,
        summary="Archive a rule: it does nothing any more, what it did stays known",
        operation_id="archive_rule",
        response_model=Rule,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_taking(Decree, PATH),
    )
    async def archive(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Decree)
        act = partial(deciding.archive, version=asked.version)
        by = decision(request, asked.reason)
        return _answered(await run_in_threadpool(act, key_of(request).workspace, which.id, by))

    def add(verb: Literal["enable", "disable"], summary: str) -> None:
        path = f"{PATH}/{verb}"
        read_path = reader(Which, path)

        @routes.post(
            path,
            summary=summary,
            operation_id=f"{verb}_rule",
            response_model=Rule,
            responses=documented(400, 401, 403, 404, 409, 413, 503),
            openapi_extra=_taking(Decree, path),
        )
        async def enable(request: Request) -> Response:
            which, asked = read_path(request), await body_of(request, Decree)
            act = partial(deciding.enable, enabled=verb == "enable", version=asked.version)
            by = decision(request, asked.reason)
            return _answered(await run_in_threadpool(act, key_of(request).workspace, which.id, by))

    add("enable", "Have a rule act on what happens from now on")
    add("disable", "Have a rule do nothing; whoever waits in it waits no more")
    return routes


def shown(made: Outcome) -> dict[str, Any]:
    """Return what a decision came to as answers show it."""
    rule = made.rule
    assert rule.definition is not None
    return {
        "id": rule.id,
        "name": rule.definition.name,
        "description": rule.definition.description,
        "rule": Raw(rule.definition.plan),
        "enabled": rule.enabled,
        "archived": rule.archived,
        "version": rule.version,
        "changed": made.changed,
        "position": made.position,
    }


def _taking(model: type[BaseModel], path: str) -> dict[str, Any]:
    taken = parameters(Which, path)["parameters"]
    return body(model) | {"parameters": [*taken, idempotency.HEADER]}


def _answered(made: Outcome, status: int = 200) -> Response:
    return Response(event_json.encode(shown(made)), status, media_type="application/json")
