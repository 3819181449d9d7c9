"""Reads path, query string and body into pydantic models, and documents them in OpenAPI.

FastAPI's own reading answers 422, takes the last of a repeated parameter and ignores an unknown one: a
mistyped filter would silently change the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from interfaces.http.kit.errors import BodyTooLarge, validation_error

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES = 1024 * 1024
"""Largest body of a native request, in bytes.  Ingest has limits of its own."""


class NoParams(BaseModel):
    """No parameters."""


_NUL_PROBLEM = "must not contain NUL"


def params_reader(model: type[Model], path: str) -> Callable[[Request], Model]:
    """Build the reader of the model from requests to ``path``.  It raises InvalidRequest."""
    schemas = _field_schemas(model)
    in_path = _path_parameters(path)
    known = schemas.keys() - in_path
    repeated = {name for name in known if schemas[name].get("type") == "array"}

    def read(request: Request) -> Model:
        segments = {name: unquote(value) for name, value in request.path_params.items()}
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        problems = [
            _problem_at("path", name, _NUL_PROBLEM)
            for name, value in segments.items()
            if "\0" in value
        ]
        for name, values in query.items():
            problem = _query_problem(name, values, known, repeated)
            if problem is not None:
                problems.append(_problem_at("query", name, problem))
        if problems:
            raise validation_error(problems)
        values_by_name = {
            name: values if name in repeated else values[0] for name, values in query.items()
        }
        try:
            return model.model_validate(values_by_name | segments)
        except ValidationError as error:
            locations = dict.fromkeys(in_path, "path")
            raise validation_error(
                _validation_problems(error, lambda name: locations.get(name, "query"))
            ) from error

    return read


def openapi_parameters(model: type[BaseModel], path: str) -> dict[str, Any]:
    """Return the OpenAPI parameters of a route whose path and query string the model describes."""
    schema = _json_schema(model)
    required = set(schema.get("required", ()))
    in_path = _path_parameters(path)
    parameters = []
    for name, field_schema in _field_schemas(model).items():
        parameter_schema = dict(field_schema)
        parameters.append(
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in required,
                "description": parameter_schema.pop("description", ""),
                "schema": parameter_schema,
            }
        )
    return {"parameters": parameters} if parameters else {}


async def read_body(request: Request) -> bytes:
    """Read the raw body.  Raises BodyTooLarge as soon as it exceeds `MAX_BODY_BYTES`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(
                f"the body must not exceed {MAX_BODY_BYTES} bytes", limit=MAX_BODY_BYTES
            )
    return bytes(body)


async def parse_body(request: Request, model: type[Model]) -> Model:
    """Read the JSON body, whatever the Content-Type; an empty body is an empty object.

    Raises BodyTooLarge and InvalidRequest.
    """
    return parse_json(await read_body(request), model)


def parse_json(body: bytes, model: type[Model]) -> Model:
    """Validate a JSON body; an empty one is an empty object.  Raises InvalidRequest."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise validation_error(_validation_problems(error, lambda _: "body")) from error


def openapi_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI request body of a route whose body `parse_body` reads."""
    schema = _json_schema(model)
    required = bool(schema.get("required"))
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }


def _problem_at(location: str, name: str, problem: str) -> dict[str, str]:
    return {"in": location, "name": name, "problem": problem}


def _validation_problems(
    error: ValidationError, location_of: Callable[[str], str]
) -> list[dict[str, str]]:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    names = [".".join(map(str, problem["loc"])) for problem in problems]
    return [
        _problem_at(location_of(name), name, problem["msg"].removeprefix("Value error, "))
        for name, problem in zip(names, problems, strict=True)
    ]


def _query_problem(name: str, values: list[str], known: set[str], repeated: set[str]) -> str | None:
    if name not in known:
        return _unknown_parameter(name, known)
    if len(values) > 1 and name not in repeated:
        return "must be given only once"
    return _NUL_PROBLEM if any("\0" in value for value in values) else None


def _unknown_parameter(name: str, known: set[str]) -> str:
    if not known:
        return "unknown parameter; this route takes no parameters"
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known parameters: {', '.join(sorted(known))}"
    return f"unknown parameter; {hint}"


def _path_parameters(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"{(\w+)}", path))


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


@cache
def _field_schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return each field's JSON schema by its name in a request, with references inlined."""
    schema = _json_schema(model)
    definitions = schema.get("$defs", {})
    return {
        name: _without_null(_inline_refs(field, definitions))
        for name, field in schema.get("properties", {}).items()
    }


def _inline_refs(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline_refs(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _inline_refs(target | {k: v for k, v in schema.items() if k != "$ref"}, definitions)
    return {key: _inline_refs(value, definitions) for key, value in schema.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop null from a schema: a query string expresses it by omitting the parameter."""
    result = {key: value for key, value in schema.items() if (key, value) != ("default", None)}
    options = [option for option in result.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return result
    only_option: dict[str, Any] = options[0]
    del result["anyOf"]
    return result | only_option
