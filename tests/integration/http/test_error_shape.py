"""Every error of a native route has one body shape with a hint."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

NAMED = "00000000-0000-0000-0000-000000000001"
WITHOUT_KEY = {"/healthz/live", "/healthz/ready", "/metrics"}


def routes(served):
    """Return (method, path with its parameters filled in) of every route of the native API."""
    schema = served.app.api.openapi()
    return [
        (method.upper(), re.sub(r"{\w+}", NAMED, path))
        for path, methods in schema["paths"].items()
        for method in methods
    ]


def assert_shape(answer, status: int, code: str | None = None):
    body = answer.json()
    assert answer.status_code == status, body
    assert answer.headers["content-type"] == "application/json"
    assert body.keys() == {"code", "message", "details"}
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", body["code"])
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["details"], dict)
    if code is not None:
        assert body["code"] == code
    return body


def test_every_route_is_published(shared):
    published = {path for _, path in routes(shared)}
    for route in shared.app.api.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            assert re.sub(r"{\w+}", NAMED, route.path) in published
    assert {"/v1/status", "/v1/rejected", "/v1/keys", "/v1/workspaces"} <= published


def test_no_route_answers_without_a_key(shared):
    for method, path in routes(shared):
        if path not in WITHOUT_KEY:
            answer = shared.client.request(method, path)
            assert_shape(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer cdp_live_read_000000000000_nothing_000000",
        "Bearer ",
        "Bearer \xe9",
        "Basic eDo=",
        "nonsense",
    ],
)
def test_an_invalid_key_is_answered_like_a_missing_one(shared, header):
    missing = shared.client.get("/v1/status")
    wrong = shared.client.get("/v1/status", headers={"Authorization": header.encode("latin-1")})
    assert (wrong.status_code, wrong.content) == (missing.status_code, missing.content)


def test_a_revoked_key_is_answered_like_a_missing_one(served):
    key_id = served.keys["read"].split("_")[3]
    assert served.get("/v1/status").status_code == 200
    served.service.keys.revoke(served.workspace, key_id)
    assert served.get("/v1/status").content == served.client.get("/v1/status").content


def test_a_write_key_gets_the_required_kind(shared):
    for method, path in routes(shared):
        if path not in WITHOUT_KEY:
            headers = {"Authorization": f"Bearer {shared.keys['write']}"}
            body = assert_shape(
                shared.client.request(method, path, headers=headers), 403, "forbidden"
            )
            assert body["details"]["kind"] == "write"
            assert "admin" in body["details"]["needs"]
            assert "admin" in body["message"]


def test_a_wrong_method_gets_the_allowed_ones(shared):
    for path in {path for _, path in routes(shared)}:
        answer = shared.client.patch(path)
        assert_shape(answer, 405, "method_not_allowed")
        assert answer.headers["allow"]


def test_an_unknown_parameter_is_named_on_every_route(shared):
    for method, path in routes(shared):
        if path not in WITHOUT_KEY:
            headers = {"Authorization": f"Bearer {shared.keys['admin']}"}
            answer = shared.client.request(method, f"{path}?no_such=1", headers=headers)
            body = assert_shape(answer, 400, "invalid_request")
            assert body["details"]["errors"][0]["name"] == "no_such"


@pytest.mark.parametrize(
    ("query", "name", "hint"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=many", "limit", "integer"),
        ("limit=1&limit=2", "limit", "once"),
        ("limt=1", "limt", "did you mean limit?"),
        ("min_position=-1", "min_position", "greater than or equal to 0"),
        (f"min_position={2**63}", "min_position", "less than or equal"),
        (f"min_position={'9' * 5000}", "min_position", ""),
        ("name=a%00b", "name", "NUL"),
    ],
)
def test_an_invalid_parameter_is_named_with_a_hint(shared, query, name, hint):
    body = assert_shape(shared.get(f"/v1/seen/a/names?{query}"), 400, "invalid_request")
    error = body["details"]["errors"][0]
    assert (error["in"], error["name"]) == ("query", name)
    assert hint in error["problem"]
    assert name in body["message"]


def test_an_invalid_path_parameter_is_named(shared):
    body = assert_shape(shared.get("/v1/seen/a%00b/names"), 400)
    assert body["details"]["errors"][0]["in"] == "path"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nothing", "/v1/status/", "/v1/%2e%2e/x"])
def test_an_unknown_route_is_not_found_and_never_a_redirect(shared, path):
    assert_shape(shared.client.get(path), 404, "no_such_route")
    assert_shape(shared.client.post(path), 404, "no_such_route")


def test_an_internal_error_reveals_no_internals(shared, capsys):
    answer = shared.get("/v1/seen/broken/names")
    assert_shape(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "a secret of the server" in capsys.readouterr().out


def test_a_query_that_times_out_is_a_client_error(shared):
    assert_shape(shared.get("/v1/seen/slow/names"), 400, "query_too_slow")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "kind"),
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "kind"),
        (b'{"kind": "owner"}', "kind"),
        (b'{"kind": "read", "scope": "all"}', "scope"),
        (b'{"kind": "\xff"}', ""),
    ],
)
def test_an_invalid_body_names_the_problem(shared, body, name):
    headers = {"Authorization": f"Bearer {shared.keys['admin']}"}
    answer = shared.client.post("/v1/keys", content=body, headers=headers)
    errors = assert_shape(answer, 400, "invalid_request")["details"]["errors"]
    assert (errors[0]["in"], errors[0]["name"]) == ("body", name)


def test_reading_an_endless_body_stops_at_the_limit(shared):
    headers = {"Authorization": f"Bearer {shared.keys['admin']}"}
    endless = (b" " * 65_536 for _ in range(1000))
    answer = shared.client.post("/v1/keys", content=endless, headers=headers)
    assert_shape(answer, 413, "body_too_large")
