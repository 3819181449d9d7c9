"""One person with a canary in everything they ever sent: after the erasure it sings nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.canary import places
from tests.e2e.tenants import Tenant, query, tenant
from tests.fix_postgres import Template, clone
from tests.serving import Server, bearer

CANARY = "zwitscher"
"""Part of every word by which the person could be known."""

USER, OTHER_USER, DEVICE = f"u-{CANARY}", f"second-{CANARY}", f"device-{CANARY}"
MAIL = f"{CANARY}@example.com"

_EVIDENCE = """
SELECT position, originator_id, originator_version, recorded_at, topic, commitment, leaf
FROM ledger.event WHERE workspace = %s ORDER BY position
"""
_SEEN = "SELECT digest FROM ledger.message_seen WHERE workspace = %s ORDER BY 1"


def said(kind: str, number: int, **more: Any) -> dict[str, Any]:
    at = f"2026-01-01T10:{number:02}:00Z"
    context = {"userAgent": f"Agent {CANARY}", "ip": "192.0.2.7", "sessionId": f"s-{CANARY}"}
    return {
        "type": kind,
        "messageId": f"m-{CANARY}-{number}",
        "timestamp": at,
        "context": context,
    } | more


THEIRS = [
    said("page", 1, anonymousId=DEVICE, name=CANARY, properties={"url": f"https://x/{CANARY}"}),
    said("track", 2, anonymousId=DEVICE, event=f"Found {CANARY}", properties={CANARY: CANARY}),
    said(
        "identify",
        3,
        userId=USER,
        anonymousId=DEVICE,
        traits={"email": MAIL, "name": CANARY, "phone": f"+49 {CANARY}", "tags": [CANARY]},
    ),
    said("track", 4, userId=USER, event="Bought", properties={"items": [{"name": CANARY}]}),
    said("group", 5, userId=USER, groupId=f"g-{CANARY}", traits={"name": CANARY}),
    said("alias", 6, userId=USER, previousId=f"previous-{CANARY}"),
    said("screen", 7, userId=OTHER_USER, name=CANARY),
    said("track", 8, userId=USER, event="Opened", context={"device": {"token": f"t-{CANARY}"}}),
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


def test_an_erased_person_is_in_no_table_no_answer_and_no_log(shop: Tenant) -> None:
    send(shop, [*THEIRS, *NEIGHBOURS, REFUSED])
    merged = {"primary": f"user_id:{USER}", "secondary": f"user_id:{OTHER_USER}", "reason": CANARY}
    assert ask(shop, "POST", "/v1/profiles/merge", merged).status == 200
    before = evidence(shop)
    neighbours = rows_of(shop, "neighbour")
    assert [path for path in answers(shop) if CANARY in answers(shop)[path]]
    assert len(places(shop.dsn, [CANARY])) > 8

    erased = ask(shop, "DELETE", f"/v1/profiles/anonymous_id:{DEVICE}", {"reason": "asked"})
    assert erased.status == 200, erased
    assert places(shop.dsn, [CANARY]) == {}
    assert {path: text for path, text in answers(shop).items() if CANARY in text} == {}
    assert CANARY not in shop.server.output()

    after = evidence(shop)
    assert after[: len(before)] == before
    assert [it[0] for it in after] == [*range(1, len(before) + 2)]
    assert erased.json["position"] == len(before) + 1
    assert rows_of(shop, "neighbour") == neighbours

    seen = query(shop.dsn, _SEEN, shop.workspace)
    assert send(shop, THEIRS) == {"duplicates": len(THEIRS)}
    assert query(shop.dsn, _SEEN, shop.workspace) == seen
    assert ask(shop, "GET", f"/v1/profiles/user_id:{USER}").status == 404
    assert places(shop.dsn, [CANARY]) == {}


def test_the_suppressed_leave_no_trace_however_often_they_come(shop: Tenant) -> None:
    mine = [it for it in THEIRS if it.get("userId") != OTHER_USER]
    send(shop, [*mine, *NEIGHBOURS])
    done = ask(shop, "POST", "/v1/profiles/suppress", {"profile": f"user_id:{USER}"})
    assert done.status == 200
    again = [it | {"messageId": f"again-{CANARY}-{n}"} for n, it in enumerate(mine)]
    assert send(shop, again) == {}
    # Each answer waits until its read model has all that is recorded.
    assert {path: text for path, text in answers(shop).items() if CANARY in text} == {}
    assert places(shop.dsn, [CANARY]) == {}
    assert CANARY not in shop.server.output()


def send(shop: Tenant, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Send a batch; return what else the answer says than that all is well."""
    answer = shop.post("/v1/batch", {"batch": messages})
    assert answer.status == 200
    return {k: v for k, v in answer.json.items() if k not in {"success", "position", "rejected"}}


def ask(shop: Tenant, method: str, path: str, body: dict[str, Any] | None = None):
    sent = None if body is None else json.dumps(body).encode()
    return shop.server.ask(method, path, sent, bearer(shop.admin))


def answers(shop: Tenant) -> dict[str, str]:
    """The text of every answer that there is to a question that names nobody or the person."""
    api = ask(shop, "GET", "/openapi.json").json
    wait = f"min_position={shop.head()}"
    found = {}
    for path, methods in api["paths"].items():
        if "get" not in methods or "{id}" in path:
            continue
        named = {it["name"] for it in methods["get"].get("parameters", ())}
        at = path.replace("{ref}", f"user_id:{USER}")
        answer = ask(shop, "GET", f"{at}?{wait}" if "min_position" in named else at)
        assert answer.status < 500, (path, answer)
        text = answer.body.decode()
        found[path] = text.replace(USER, "") if answer.status == 404 else text  # what was asked for
    return found


def evidence(shop: Tenant) -> list[tuple[Any, ...]]:
    return query(shop.dsn, _EVIDENCE, shop.workspace)


def rows_of(shop: Tenant, who: str) -> Any:
    return shop.get(f"/v1/profiles/user_id:{who}/timeline?min_position={shop.head()}")["timeline"]
