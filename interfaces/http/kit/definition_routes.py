"""Routes that every kind of definition has: create, replace, archive and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Security
from pydantic import create_model
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.service import DefinitionService
from application.definitions.store import CommandContext, DefinitionResult, definition_event
from domain.core.errors import NotFound
from domain.core.time import format_utc
from domain.definitions.definition import Definition, DefinitionVersion
from domain.events.recorded import RecordedEvent
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import StatusRequest, command_context
from interfaces.http.kit.definition_resource import Answer, Command, Resource
from interfaces.http.kit.definition_schemas import RevisionPage
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service
from projections.kit import cursors
from projections.kit.pages import split_page

_CHANGES: dict[object, str] = {None: "archived", True: "enabled", False: "disabled"}
"""Name of a change by what it changed; everything else is a definition."""


def definition_routes(service: Service, resource: Resource) -> APIRouter:
    """Build the routes that create, replace and archive definitions, and list their changes."""
    commands = resource.commands(service)
    routes = APIRouter(tags=[resource.tag], redirect_slashes=False)

    def show_result(_workspace: int, result: DefinitionResult[Any]) -> Mapping[str, Any]:
        return resource.result_json(result)

    answer = resource.answer_json(service) if resource.answer_json else show_result
    for command in (*_common_commands(resource, commands), *resource.more_commands(commands)):
        _add_command(routes, service, resource, command, answer)
    if resource.schemas.revisions is not None:
        _add_history(routes, service, resource, commands)
    return routes


def _common_commands(
    resource: Resource, commands: DefinitionService[Any]
) -> tuple[Command, Command, Command]:
    create, replace, archive = (f"{verb}_{resource.noun}" for verb in resource.verbs)
    return (
        Command(
            "POST",
            resource.collection,
            create,
            resource.summaries.create,
            body=resource.schemas.create,
            answer=resource.created or resource.schemas.answer,
            errors=(400, 401, 403, 409, 413, 503),
            status=201,
            run=lambda workspace, _, payload, context: commands.create(
                workspace,
                payload.id,
                payload.definition,
                context,
                **resource.create_options(payload),
            ),
        ),
        Command(
            "PUT",
            resource.path,
            replace,
            resource.summaries.replace,
            body=resource.schemas.replace,
            answer=resource.schemas.answer,
            errors=resource.replace_errors,
            run=lambda workspace, id_, payload, context: commands.define(
                workspace, id_, payload.definition, context, version=payload.version
            ),
        ),
        Command(
            "DELETE",
            resource.path,
            archive,
            resource.summaries.archive,
            body=StatusRequest,
            answer=resource.archived,
            status=200 if resource.archived else 204,
            run=lambda workspace, id_, payload, context: commands.archive(
                workspace, id_, context, version=payload.version
            ),
        ),
    )


def _add_command(
    routes: APIRouter, service: Service, resource: Resource, command: Command, answer: Answer
) -> None:
    params_model = resource.schemas.path if "{id}" in command.path else NoParams
    read_params = params_reader(params_model, command.path)
    parameters = openapi_parameters(params_model, command.path).get("parameters", ())

    def run(workspace: int, id_: str, payload: Any, context: CommandContext) -> Response:
        result = command.run(workspace, id_, payload, context)
        if command.answer is None:
            return Response(status_code=204)
        fields = answer(workspace, result)
        shown = {name: fields[name] for name in command.answer.model_fields if name in fields}
        status = command.status if result.changed else 200
        return Response(event_json.encode_json(shown), status, media_type="application/json")

    async def execute(request: Request) -> Response:
        id_ = getattr(read_params(request), "id", "")
        payload: Any = await parse_body(request, command.body)
        context = command_context(request, payload.reason)
        workspace = authenticated_key(request).workspace
        return await run_in_threadpool(run, workspace, id_, payload, context)

    routes.add_api_route(
        command.path,
        execute,
        methods=[command.method],
        status_code=command.status,
        summary=command.summary,
        operation_id=command.operation_id,
        response_model=command.answer,
        responses=error_responses(*command.errors),
        openapi_extra=openapi_body(command.body)
        | {"parameters": [*parameters, idempotency.OPENAPI_PARAMETER]},
        dependencies=[Security(require_key(service.keys, "admin"))],
        deprecated=resource.deprecated,
    )


def _add_history(
    routes: APIRouter, service: Service, resource: Resource, commands: DefinitionService[Any]
) -> None:
    path = f"{resource.path}/definitions"
    params_model = create_model("RevisionParams", __base__=(RevisionPage, resource.schemas.path))
    read_params = params_reader(params_model, path)

    def list_revisions(workspace: int, params: Any) -> bytes:
        after = 0 if params.cursor is None else cursors.decode_position(params.cursor)
        head = service.ledger.heads().get(workspace, 0)
        revisions = commands.history(workspace, params.id, after=after, limit=params.limit + 1)
        if not (revisions or after):
            kind = commands.kind
            raise NotFound(f"{kind.KIND} {params.id!r} not found", **{kind.KEY: params.id})
        page, next_page = split_page(
            revisions, params.limit, lambda event: cursors.encode_position(event.position)
        )
        answer = {
            "definitions": [_revision_json(resource, commands.kind, event) for event in page],
            "next": next_page,
            "projected_to": head,
        }
        return event_json.encode_json(answer)

    async def list_definitions(request: Request) -> Response:
        params, workspace = read_params(request), authenticated_key(request).workspace
        content = await run_in_threadpool(list_revisions, workspace, params)
        return Response(content, media_type="application/json")

    routes.add_api_route(
        path,
        list_definitions,
        methods=["GET"],
        summary=resource.summaries.history,
        operation_id=f"list_{resource.noun}_definitions",
        response_model=resource.schemas.revisions,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(params_model, path),
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
    )


def _revision_json(
    resource: Resource, kind: type[Definition], recorded: RecordedEvent
) -> dict[str, Any]:
    """Return the fields of a change; those of its definition are null if it defined nothing."""
    event = definition_event(recorded)
    content = kind.content_of(event)
    fields = {
        "version": recorded.version,
        "position": recorded.position,
        "change": _CHANGES.get(content, "defined"),
        "decided_at": format_utc(event.occurred_at),
        "recorded_at": format_utc(recorded.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(content, DefinitionVersion):
        fields |= resource.definition_json(content)
    return {name: fields.get(name) for name in resource.schemas.revision.model_fields}
