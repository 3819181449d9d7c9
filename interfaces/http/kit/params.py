"""Reads what was asked, from path, query string and body, into a model, and documents it.

FastAPI's own reading answers 422, takes the last of a parameter that came twice and ignores one that
does not exist; a mistyped filter would then quietly answer another question.
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
"""Largest body of a native request, in bytes; events come in by the dialects, with their own limits."""


class NoParams(BaseModel):
    """The parameters of a route that takes none."""


_NUL_PROBLEM = "NUL can be part of no value"


def params_reader(model: type[Model], path: str) -> Callable[[Request], Model]:
    """Return what reads the model from a request to ``path``; it raises InvalidRequest."""
    schemas = _field_schemas(model)
    in_path = _path_parameters(path)
    known = schemas.keys() - in_path
    repeated = {name for name in known if schemas[name].get("type") == "array"}

    def read(request: Request) -> Model:
        segments = {name: unquote(value) for name, value in request.path_params.items()}
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        wrong = [
            _problem_at("path", it, _NUL_PROBLEM) for it, value in segments.items() if "\0" in value
        ]
        for name, values in query.items():
            problem = _query_problem(name, values, known, repeated)
            if problem is not None:
                wrong.append(_problem_at("query", name, problem))
        if wrong:
            raise validation_error(wrong)
        given = {it: values if it in repeated else values[0] for it, values in query.items()}
        try:
            return model.model_validate(given | segments)
        except ValidationError as error:
            place = dict.fromkeys(in_path, "path")
            raise validation_error(
                _validation_problems(error, lambda name: place.get(name, "query"))
            ) from error

    return read


def openapi_parameters(model: type[BaseModel], path: str) -> dict[str, Any]:
    """Return the OpenAPI of a route whose path and query string are read into the model."""
    schema = _json_schema(model)
    required = set(schema.get("required", ()))
    in_path = _path_parameters(path)
    found = []
    for name, described in _field_schemas(model).items():
        told = dict(described)
        found.append(
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in required,
                "description": told.pop("description", ""),
                "schema": told,
            }
        )
    return {"parameters": found} if found else {}


async def read_body(request: Request) -> bytes:
    """Read the body as it is.  Raises BodyTooLarge before more than the limit is held."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"send at most {MAX_BODY_BYTES} bytes", limit=MAX_BODY_BYTES)
    return bytes(held)


async def parse_body(request: Request, model: type[Model]) -> Model:
    """Read the JSON body, whatever its Content-Type says; none at all is an empty object.

    Raises BodyTooLarge and InvalidRequest.
    """
    return parse_json(await read_body(request), model)


def parse_json(content: bytes, model: type[Model]) -> Model:
    """Return what a JSON body says.  Raises InvalidRequest."""
    try:
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        raise validation_error(_validation_problems(error, lambda _: "body")) from error


def openapi_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI of a route whose body is read by `body_of`."""
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
    found = error.errors(include_url=False, include_context=False, include_input=False)
    names = [".".join(map(str, it["loc"])) for it in found]
    return [
        _problem_at(location_of(name), name, it["msg"].removeprefix("Value error, "))
        for name, it in zip(names, found, strict=True)
    ]


def _query_problem(name: str, values: list[str], known: set[str], repeated: set[str]) -> str | None:
    if name not in known:
        return _unknown_parameter(name, known)
    if len(values) > 1 and name not in repeated:
        return "give it once"
    return _NUL_PROBLEM if any("\0" in value for value in values) else None


def _unknown_parameter(name: str, known: set[str]) -> str:
    if not known:
        return "there is no such parameter; this takes none"
    like = get_close_matches(name, known, n=1)
    meant = f"did you mean {like[0]}?" if like else f"there are {', '.join(sorted(known))}"
    return f"there is no such parameter; {meant}"


def _path_parameters(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"{(\w+)}", path))


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _field_schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return each field's JSON schema by the name it has in a request, without references."""
    schema = _json_schema(model)
    definitions = schema.get("$defs", {})
    return {
        name: _without_null(_inline_refs(field, definitions))
        for name, field in schema.get("properties", {}).items()
    }


def _inline_refs(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline_refs(it, definitions) for it in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _inline_refs(target | {k: v for k, v in schema.items() if k != "$ref"}, definitions)
    return {key: _inline_refs(value, definitions) for key, value in schema.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop null: a query string says it by leaving the parameter out."""
    kept = {key: value for key, value in schema.items() if (key, value) != ("default", None)}
    options = [it for it in kept.get("anyOf", ()) if it != {"type": "null"}]
    if len(options) != 1:
        return kept
    only: dict[str, Any] = options[0]
    del kept["anyOf"]
    return kept | only
