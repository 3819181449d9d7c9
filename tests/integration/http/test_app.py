"""Who gets which request, and what is published about the native API."""

from __future__ import annotations

import json
import warnings

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from interfaces.http.app import create_app


class Taking:
    """Stands for ingest: says what it was given."""

    paths = frozenset({"/v1/batch", "/v1/batch/"})

    async def __call__(self, scope, receive, send):
        await PlainTextResponse(f"{scope['method']} {scope['path']}")(scope, receive, send)


def test_ingest_paths_go_past_the_framework_and_the_rest_does_not(asked):
    with TestClient(create_app(asked.service, Taking())) as client:
        assert client.post("/v1/batch").text == "POST /v1/batch"
        assert client.get("/v1/batch/").text == "GET /v1/batch/"
        assert client.get("/v1/status").status_code == 401
        assert client.post("/v1/batches").status_code == 404


def test_the_documentation_is_served(asked):
    assert "Foldline" in asked.client.get("/docs").text
    assert asked.client.get("/openapi.json").json()["info"]["title"] == "Foldline"


def test_the_schema_is_made_without_warnings_and_is_json(asked):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = asked.app.api.openapi()
    assert json.loads(json.dumps(schema)) == schema


def test_every_operation_has_a_name_of_its_own_and_tells_its_refusals(asked):
    schema = asked.app.api.openapi()
    problem = {"$ref": "#/components/schemas/Problem"}
    names = []
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["summary"]
            assert "422" not in operation["responses"]
            if path.startswith("/v1/"):
                assert operation["security"] == [{"key": []}]
                for status in ("400", "401", "403", "503"):
                    content = operation["responses"][status]["content"]
                    assert content["application/json"]["schema"] == problem
    assert len(names) == len(set(names))
    assert schema["components"]["schemas"]["Problem"]["required"] == ["code", "message", "details"]


def test_parameters_are_published_as_they_are_read(asked):
    operation = asked.app.api.openapi()["paths"]["/v1/seen/{ref}/names"]["get"]
    found = {it["name"]: it for it in operation["parameters"]}
    assert found.keys() == {"ref", "limit", "name", "min_position"}
    assert (found["ref"]["in"], found["ref"]["required"]) == ("path", True)
    assert (found["limit"]["in"], found["limit"]["required"]) == ("query", False)
    assert found["limit"]["schema"]["maximum"] == 100
    assert found["name"]["schema"]["type"] == "array"
    position, head = found["min_position"]["schema"]["anyOf"]
    assert (position["type"], head["const"]) == ("integer", "head")
    assert "null" not in json.dumps(operation["parameters"])
