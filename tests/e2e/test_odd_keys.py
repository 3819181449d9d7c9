"""Keys of every form to a running server: accepted or refused by code, never a 5xx."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from application.ledger.tables import keys
from tests.e2e.tenants import Tenant
from tests.serving import basic, bearer

MESSAGE = b'{"userId":"u-1","event":"Viewed"}'
BATCH = b'{"batch":[{"type":"track","userId":"u-1","event":"Viewed"}]}'


def encoded(text: bytes) -> str:
    return b64encode(text).decode()


def test_every_form_in_which_sdks_send_their_key_is_accepted(shop: Tenant) -> None:
    key = shop.write
    forms = {
        "Basic key:": basic(key),
        "Basic key": {"Authorization": f"Basic {encoded(key.encode())}"},
        "Basic key:anything": {"Authorization": f"Basic {encoded(f'{key}:x:y'.encode())}"},
        "basic in small letters": {"authorization": f"basic {encoded(f'{key}:'.encode())}"},
        "Bearer key": bearer(key),
        "an admin's": basic(shop.admin),
    }
    for form, headers in forms.items():
        answer = shop.server.ask("POST", "/v1/track", MESSAGE, headers)
        assert answer.status == 200, form
    bodies = {
        "at the top of a batch": (
            "/v1/batch",
            {"writeKey": key, "batch": [json.loads(MESSAGE) | {"type": "track"}]},
        ),
        "in each message of a batch": (
            "/v1/b",
            {"batch": [json.loads(MESSAGE) | {"type": "track", "writeKey": key}]},
        ),
        "in a message": ("/v1/t", json.loads(MESSAGE) | {"writeKey": key}),
        "beside OAuth's token": ("/v1/t", json.loads(MESSAGE) | {"writeKey": key}),
    }
    for form, (path, body) in bodies.items():
        headers = {"Authorization": "Bearer ey.of.oauth"} if "OAuth" in form else {}
        answer = shop.server.ask("POST", path, json.dumps(body).encode(), headers)
        assert answer.status == 200, form
    beacon = f"/beacon/v1/batch?writeKey={quote(key)}"
    assert shop.server.ask("POST", beacon, BATCH, {"Content-Type": "text/plain"}).status == 200
    assert shop.head() == len(forms) + len(bodies) + 1


def odd_keys(shop: Tenant) -> list[str]:
    """Texts that are no valid key, some of them with a correct checksum."""
    body = shop.write.rpartition("_")[0]
    parts = body.split("_")
    with_nul = "_".join([*parts[:3], "a\0b", parts[4]])
    unknown = "_".join([*parts[:3], "x" * 12, parts[4]])
    other_kind = "_".join(["cdp", "live", "admin", *parts[3:]])
    changed = body[:-1] + ("y" if body.endswith("x") else "x")
    long = "_".join([*parts[:3], "x" * 5000, parts[4]])
    return [
        *(f"{key}_{keys._checksum(key)}" for key in (with_nul, unknown, long)),
        f"{changed}_{keys._checksum(changed)}",
        f"{other_kind}_{keys._checksum(other_kind)}"[:-1],
        body,
        shop.write + "x",
        shop.write.upper(),
        shop.write.replace("_", ""),
        "_" * 5,
        "cdp_live_write___",
        "\0",
        "x" * 8_000,
        "cdp_live_write_\xe4_\xe4_\xe4",
        "' OR 1=1 --",
        "%00",
        "None",
        "null",
    ]


def test_an_odd_key_is_refused_without_a_server_error(shop: Tenant) -> None:
    wrong = []
    for key in odd_keys(shop):
        answers = {
            "Basic": shop.server.ask("POST", "/v1/batch", BATCH, basic(key)),
            "body": shop.server.ask(
                "POST", "/v1/track", json.dumps({"writeKey": key} | json.loads(MESSAGE)).encode()
            ),
            "query": shop.server.ask("POST", f"/beacon/v1/batch?writeKey={quote(key)}", BATCH),
        }
        if "/" not in key:
            answers["path"] = shop.server.ask("GET", f"/v1/projects/{quote(key, safe='')}/settings")
        if key.isprintable():
            token = {"Authorization": f"Bearer {key}"}
            answers["Bearer"] = shop.server.ask("POST", "/v1/batch", BATCH, token)
            answers["native"] = shop.server.ask("GET", "/v1/events", headers=token)
        for place, answer in answers.items():
            expected = {"path": {400, 404}, "native": {400, 401}}.get(place, {400})
            refusal = answer.status in expected and answer.json
            if not (refusal and refusal["code"] and refusal["message"]):
                wrong.append((place, key[:100], answer.status, answer.body[:100]))
    assert wrong == []
    assert shop.head() == 0


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic abc",
        "Basic " + "A" * 7000,
        "Basic " + encoded(b""),
        "Basic " + encoded(b":"),
        "Basic " + encoded(b"\xff\xfe:\x00"),
        "Basic " + encoded("ä\ud800".encode("utf-8", "surrogatepass")),
        "Bearer",
        "Bearer ",
        "Bearer a b c",
        "Digest username=x",
        "App 0123456789",
        "\xe4\xf6\xfc",
        "Basic Basic Basic",
        ", ,",
    ],
)
def test_an_odd_authorization_is_refused_without_a_server_error(
    shop: Tenant, authorization: str
) -> None:
    headers = {"Authorization": authorization}
    answer = shop.server.ask("POST", "/v1/batch", BATCH, headers)
    assert (answer.status, answer.json["code"]) == (400, "invalid_write_key")
    answer = shop.server.ask("GET", "/v1/events", headers=headers)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")


def test_a_read_key_cannot_write(shop: Tenant) -> None:
    answer = shop.server.ask("POST", "/v1/batch", BATCH, basic(shop.read))
    assert (answer.status, answer.json["code"]) == (400, "invalid_write_key")
    assert shop.server.ask("GET", "/v1/events", headers=bearer(shop.write)).status == 403
