"""Dispatch between ingest and the native API, and its published documentation."""

from __future__ import annotations

import json
import warnings

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from interfaces.http.app import create_app


class Taking:
    """Replaces ingest: echoes method and path."""

    def find(self, raw_path):
        return self.respond if raw_path in {b"/v1/batch", b"/v1/batch/"} else None

    async def respond(self, scope, receive, send):
        await PlainTextResponse(f"{scope['method']} {scope['path']}")(scope, receive, send)


def test_only_ingest_paths_bypass_the_framework(shared):
    with TestClient(create_app(shared.service, Taking())) as client:
        assert client.post("/v1/batch").text == "POST /v1/batch"
        assert client.get("/v1/batch/").text == "GET /v1/batch/"
        assert client.get("/v1/status").status_code == 401
        assert client.post("/v1/batches").status_code == 404


def test_the_documentation_is_served(shared):
    assert "Foldline" in shared.client.get("/docs").text
    assert shared.client.get("/openapi.json").json()["info"]["title"] == "Foldline"


def test_the_openapi_schema_is_built_without_warnings_and_is_json(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = shared.app.api.openapi()
    assert json.loads(json.dumps(schema)) == schema


def test_every_operation_has_a_unique_id_and_lists_its_errors(shared):
    schema = shared.app.api.openapi()
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


def test_parameters_are_published_as_they_are_read(shared):
    operation = shared.app.api.openapi()["paths"]["/v1/seen/{ref}/names"]["get"]
    found = {item["name"]: item for item in operation["parameters"]}
    assert found.keys() == {"ref", "limit", "name", "min_position"}
    assert (found["ref"]["in"], found["ref"]["required"]) == ("path", True)
    assert (found["limit"]["in"], found["limit"]["required"]) == ("query", False)
    assert found["limit"]["schema"]["maximum"] == 100
    assert found["name"]["schema"]["type"] == "array"
    position, head = found["min_position"]["schema"]["anyOf"]
    assert (position["type"], head["const"]) == ("integer", "head")
    assert "null" not in json.dumps(operation["parameters"])
