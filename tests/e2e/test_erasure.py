"""A profile with a canary word in everything it sent: after its erasure the word is nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.canary import tables_containing
from tests.e2e.tenants import Tenant, query, tenant
from tests.fix_postgres import Template, clone
from tests.serving import Server, bearer

CANARY = "zwitscher"
"""Part of every value by which the profile could be recognised."""

USER, OTHER_USER, DEVICE = f"u-{CANARY}", f"second-{CANARY}", f"device-{CANARY}"
MAIL = f"{CANARY}@example.com"

_EVIDENCE = """
SELECT position, originator_id, originator_version, recorded_at, topic, commitment, leaf
FROM ledger.event WHERE workspace = %s ORDER BY position
"""
_SEEN = "SELECT digest FROM ledger.message_seen WHERE workspace = %s ORDER BY 1"


def message(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    at = f"2026-01-01T10:{number:02}:00Z"
    context = {"userAgent": f"Agent {CANARY}", "ip": "192.0.2.7", "sessionId": f"s-{CANARY}"}
    return {
        "type": kind,
        "messageId": f"m-{CANARY}-{number}",
        "timestamp": at,
        "context": context,
    } | fields


ERASED = [
    message("page", 1, anonymousId=DEVICE, name=CANARY, properties={"url": f"https://x/{CANARY}"}),
    message("track", 2, anonymousId=DEVICE, event=f"Found {CANARY}", properties={CANARY: CANARY}),
    message(
        "identify",
        3,
        userId=USER,
        anonymousId=DEVICE,
        traits={"email": MAIL, "name": CANARY, "phone": f"+49 {CANARY}", "tags": [CANARY]},
    ),
    message("track", 4, userId=USER, event="Bought", properties={"items": [{"name": CANARY}]}),
    message("group", 5, userId=USER, groupId=f"g-{CANARY}", traits={"name": CANARY}),
    message("alias", 6, userId=USER, previousId=f"previous-{CANARY}"),
    message("screen", 7, userId=OTHER_USER, name=CANARY),
    message("track", 8, userId=USER, event="Opened", context={"device": {"token": f"t-{CANARY}"}}),
]

NEIGHBOURS = [
    {
        "type": "track",
        "messageId": f"n-{n}",
        "userId": "neighbour",
        "event": "Bought",
        "properties": {"total": n},
    }
    for n in range(5)
]

REFUSED = {
    "type": "track",
    "messageId": "r-1",
    "userId": USER,
    "event": "x",
    "properties": {CANARY: "x" * 40_000},
}


@pytest.fixture
def shop(template: Template, tmp_path: Path):
    with clone(template) as dsn, Server.on(tmp_path, dsn) as server:
        yield tenant(server, dsn, "shop")


def test_an_erased_profile_is_in_no_table_no_answer_and_no_log(shop: Tenant) -> None:
    send(shop, [*ERASED, *NEIGHBOURS, REFUSED])
    merge = {"primary": f"user_id:{USER}", "secondary": f"user_id:{OTHER_USER}", "reason": CANARY}
    assert ask(shop, "POST", "/v1/profiles/merge", merge).status == 200
    before = evidence(shop)
    neighbours = timeline_of(shop, "neighbour")
    assert [path for path in answers(shop) if CANARY in answers(shop)[path]]
    assert len(tables_containing(shop.dsn, [CANARY])) > 8

    erased = ask(shop, "DELETE", f"/v1/profiles/anonymous_id:{DEVICE}", {"reason": "requested"})
    assert erased.status == 200, erased
    assert tables_containing(shop.dsn, [CANARY]) == {}
    assert {path: text for path, text in answers(shop).items() if CANARY in text} == {}
    assert CANARY not in shop.server.output()

    after = evidence(shop)
    assert after[: len(before)] == before
    assert [row[0] for row in after] == [*range(1, len(before) + 2)]
    assert erased.json["position"] == len(before) + 1
    assert timeline_of(shop, "neighbour") == neighbours

    seen = query(shop.dsn, _SEEN, shop.workspace)
    assert send(shop, ERASED) == {"duplicates": len(ERASED)}
    assert query(shop.dsn, _SEEN, shop.workspace) == seen
    assert ask(shop, "GET", f"/v1/profiles/user_id:{USER}").status == 404
    assert tables_containing(shop.dsn, [CANARY]) == {}


def test_a_suppressed_profile_leaves_no_trace_however_often_it_is_sent(shop: Tenant) -> None:
    messages = [sent for sent in ERASED if sent.get("userId") != OTHER_USER]
    send(shop, [*messages, *NEIGHBOURS])
    answer = ask(shop, "POST", "/v1/profiles/suppress", {"profile": f"user_id:{USER}"})
    assert answer.status == 200
    again = [sent | {"messageId": f"again-{CANARY}-{n}"} for n, sent in enumerate(messages)]
    assert send(shop, again) == {}
    # Each answer waits until its read model has reached the head.
    assert {path: text for path, text in answers(shop).items() if CANARY in text} == {}
    assert tables_containing(shop.dsn, [CANARY]) == {}
    assert CANARY not in shop.server.output()


def send(shop: Tenant, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Send a batch; return the members of the answer other than success and position."""
    answer = shop.post("/v1/batch", {"batch": messages})
    assert answer.status == 200
    return {k: v for k, v in answer.json.items() if k not in {"success", "position", "rejected"}}


def ask(shop: Tenant, method: str, path: str, body: dict[str, Any] | None = None):
    sent = None if body is None else json.dumps(body).encode()
    return shop.server.ask(method, path, sent, bearer(shop.admin))


def answers(shop: Tenant) -> dict[str, str]:
    """The text of every GET answer, by path, of those without an id; ``{ref}`` is the profile."""
    api = ask(shop, "GET", "/openapi.json").json
    wait = f"min_position={shop.head()}"
    texts = {}
    for path, methods in api["paths"].items():
        if "get" not in methods or "{id}" in path:
            continue
        parameters = {parameter["name"] for parameter in methods["get"].get("parameters", ())}
        target = path.replace("{ref}", f"user_id:{USER}")
        answer = ask(shop, "GET", f"{target}?{wait}" if "min_position" in parameters else target)
        assert answer.status < 500, (path, answer)
        text = answer.body.decode()
        # A 404 repeats the reference of the request.
        texts[path] = text.replace(USER, "") if answer.status == 404 else text
    return texts


def evidence(shop: Tenant) -> list[tuple[Any, ...]]:
    return query(shop.dsn, _EVIDENCE, shop.workspace)


def timeline_of(shop: Tenant, user_id: str) -> Any:
    return shop.get(f"/v1/profiles/user_id:{user_id}/timeline?min_position={shop.head()}")[
        "timeline"
    ]
