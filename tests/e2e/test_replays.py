"""Requests captured from real SDKs, replayed unchanged but for the key."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.events.events import MessageEvent
from tests.e2e.tenants import Tenant
from tests.serving import Answer

WIRE = Path(__file__).parents[1] / "data" / "wire"
CLIENTS = (
    "segment-analytics-python",
    "segment-analytics-next-browser",
    "customerio-cdp-analytics-node",
    "rudder-sdk-node",
)
"""The clients whose wire format is supported; each is a file of captures."""

DUMMY = "WRITEKEY"
NAMES = {
    "identify": "identify",
    "page": "page_view",
    "screen": "screen_view",
    "group": "group",
    "alias": "alias",
}


@dataclass(frozen=True)
class Request:
    """One captured request."""

    facts: dict[str, Any]

    @property
    def method(self) -> str:
        return str(self.facts["method"])

    @property
    def path(self) -> str:
        return str(self.facts["path"])

    @property
    def items(self) -> list[dict[str, Any]]:
        """The messages in it."""
        body = self.facts.get("body_json")
        return [] if body is None else body.get("batch", [body])

    def written(self, value: Any) -> bytes:
        """JSON as this client writes it."""
        separators = (", ", ": ") if "python" in self._agent else (",", ":")
        return json.dumps(value, separators=separators, ensure_ascii=False).encode()

    @property
    def body(self) -> bytes | None:
        """The body as it was on the wire, but for how well it was compressed."""
        if self.facts.get("body_json") is None:
            return None
        written = self.written(self.facts["body_json"])
        if self.facts["content_encoding"] == "gzip":
            return gzip.compress(written)
        assert len(written) == self.facts["body_wire_bytes"], "it is written as it was captured"
        return written

    @property
    def _agent(self) -> str:
        return next(v for k, v in self.facts["headers"] if k.lower() == "user-agent")

    def send(self, shop: Tenant, slash: str = "") -> Answer:
        headers = {
            k: v for k, v in self.facts["headers"] if k.lower() not in {"host", "content-length"}
        }
        dummy, key = (b64encode(f"{key}:".encode()).decode() for key in (DUMMY, shop.write))
        headers = {k: v.replace(dummy, key) for k, v in headers.items()}
        body = self.body
        if body is not None and self.facts["content_encoding"] == "gzip":
            body = gzip.compress(gzip.decompress(body).replace(DUMMY.encode(), shop.write.encode()))
        elif body is not None:
            body = body.replace(DUMMY.encode(), shop.write.encode())
        path, mark, query = self.facts["target"].replace(DUMMY, shop.write).partition("?")
        return shop.server.ask(self.method, path + slash + mark + query, body, headers)


def captured() -> list[Any]:
    """The requests of each suite of each client that Foldline answers, in order."""
    suites = []
    for client in CLIENTS:
        for name, suite in json.loads((WIRE / f"{client}.json").read_text())["suite"].items():
            exchanges = suite if isinstance(suite, list) else suite["exchanges"]
            requests = [Request(exchange["request"]) for exchange in exchanges]
            supported = [request for request in requests if request.path.startswith("/v1/")]
            suites.append(pytest.param(supported, id=f"{client} {name}"))
    return suites


@pytest.mark.parametrize("slash", ["", "/"], ids=["as it was", "with a slash"])
@pytest.mark.parametrize("requests", captured())
def test_what_a_real_client_sent_is_recorded_unchanged(
    shop: Tenant, requests: list[Request], slash: str
) -> None:
    sent = {
        item["messageId"]: (request, item)
        for request in reversed(requests)
        for item in request.items
    }
    assert sent
    for request in requests:
        answer = request.send(shop, slash)
        assert answer.status == 200, (request.method, request.path, answer)
    assert shop.rejected() == []

    events = [event.event for event in shop.recorded() if isinstance(event.event, MessageEvent)]
    event_of_id = {event.message_id: event for event in events}
    assert event_of_id.keys() == sent.keys()
    assert len(events) == len(sent), "a repeated message is recorded once"
    for message_id, (request, item) in sent.items():
        event = event_of_id[message_id]
        kind = item.get("type")
        assert event.kind == kind
        assert event.name == NAMES.get(kind, item.get("event"))
        assert event.subject is not None
        identifier = item.get("userId") or item.get("anonymousId")
        assert event.subject == ("user_id" if item.get("userId") else "anonymous_id", identifier)
        expected = request.written(item).replace(DUMMY.encode(), shop.write.encode())
        assert (event.raw or event.payload) == expected, "byte for byte"

    head = shop.head()
    for request in requests:
        assert request.send(shop, slash).status == 200
    assert shop.head() == head, "sent again, it adds nothing"
    assert {event["message_id"] for event in shop.events()} == sent.keys()


@pytest.mark.smoke
def test_an_identify_and_earlier_messages_are_one_profile(shop: Tenant) -> None:
    (request,) = next(suite.values[0] for suite in captured() if "python plain" in suite.id)
    request.send(shop)
    timeline = shop.get(f"/v1/profiles/user_id:u-1/timeline?min_position={shop.head()}")["timeline"]
    assert {event["kind"] for event in timeline} >= {
        "identify",
        "track",
        "page",
        "screen",
        "group",
        "alias",
    }


def test_the_settings_name_the_host_that_the_browser_sent_them_to(shop: Tenant) -> None:
    settings = f"/v1/projects/{shop.write}/settings"
    headers = {"Origin": "https://shop.example"}
    for path in (settings, settings + "/"):
        answer = shop.server.ask("GET", path, headers=headers)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] in {"*", "https://shop.example"}
        expected = {
            "apiKey": shop.write,
            "apiHost": f"127.0.0.1:{shop.server.port}/v1",
            "protocol": "http",
        }
        integrations = answer.json["integrations"]
        assert integrations["Segment.io"].items() >= expected.items()
        assert integrations["Customer.io Data Pipelines"].items() >= expected.items()
    assert shop.server.ask("GET", f"/v1/projects/{shop.read}/settings").status in {400, 404}


@pytest.mark.parametrize("path", ["/v1/t", "/v1/b", "/v1/track", "/v1/batch", "/v1/i/", "/v1/m"])
def test_a_page_on_another_host_may_send(shop: Tenant, path: str) -> None:
    preflight = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-retry-count",
    }
    answer = shop.server.ask("OPTIONS", path, headers=preflight)
    assert answer.status in {200, 204}
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = {
        header.strip()
        for header in answer.headers["access-control-allow-headers"].lower().split(",")
    }
    assert allowed >= {"authorization", "content-type", "x-retry-count", "anonymousid", "sentat"}

    sent = shop.post(
        path, {"batch": []}, {"Origin": "https://shop.example", "Content-Type": "text/plain"}
    )
    assert sent.headers["access-control-allow-origin"] == "https://shop.example"
    assert "retry-after" in sent.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "path",
    ["/v1/track", "/v1/t", "/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch", "/v1/nothing"],
)
def test_no_request_is_ever_redirected(shop: Tenant, path: str, slash: str) -> None:
    message = {"type": "track", "event": "Viewed", "userId": "u-1"}
    for body in (message, {"batch": [message]}, b"nonsense"):
        answer = shop.post(path + slash, body)
        assert not 300 <= answer.status < 400
        assert "location" not in answer.headers
