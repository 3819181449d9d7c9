"""Segment requests, as a client sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.builders import anonymous, tracked, user
from tests.integration.http.serving import Served


def send(served: Served, method: str, path: str, body=None, *, kind="admin", **headers: str):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return served.client.request(method, f"/v1/segments{path}", content=content, headers=headers)


ANN, BOB, PHONE = user("ann"), user("bob"), anonymous("phone")


def bought(who, ago: timedelta = timedelta(0), **properties):
    now = datetime.now(UTC)
    return tracked("purchase", who, occurred_at=now - ago, received_at=now, properties=properties)


def define(served: Served, segment: str, condition) -> int:
    body = {"name": segment, "condition": condition}
    return send(served, "PUT", f"/{segment}", body).json()["position"]


def ask(served: Served, path: str, position: int | None = None, **params):
    if position is not None:
        params["min_position"] = position
    served.project()
    answer = served.get(f"/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def inside(served: Served, segment: str, **params) -> set[str]:
    found = ask(served, f"/segments/{segment}/members", **params)["members"]
    return {item["identifiers"][0]["value"] for item in found}
