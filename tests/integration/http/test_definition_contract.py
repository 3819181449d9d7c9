"""What definitions of every kind do over HTTP: versions, repeated keys and history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from application.definitions.store import CommandContext
from application.ledger.tables import definitions as definition_table
from domain.core.errors import Conflict
from domain.definitions.definition import Definition
from domain.delivery.outbound import OutboundDefinition
from interfaces.http.api.definitions import DEFINITIONS
from interfaces.http.kit.definition_resource import Resource
from tests.integration.http.serving import Served

CURRENT = [resource for resource in DEFINITIONS if not resource.deprecated]
STEPS = [{"event": "viewed"}, {"event": "bought"}]
TAG = [{"add_tag": {"tag": "x"}}]
SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "segment": (
        {"name": "One", "condition": {"event": "a"}},
        {"name": "One", "condition": {"event": "b"}},
    ),
    "computed_attribute": (
        {"name": "One", "computed": {"fn": "count", "event": "a"}},
        {"name": "One", "computed": {"fn": "count", "event": "b"}},
    ),
    "funnel": (
        {"name": "One", "funnel": {"steps": STEPS}},
        {"name": "One", "funnel": {"steps": STEPS, "window": "7d"}},
    ),
    "rule": (
        {"name": "One", "trigger": {"event": "a"}, "actions": TAG},
        {"name": "One", "trigger": {"event": "b"}, "actions": TAG},
    ),
    "endpoint": ({"url": "https://example.com/a"}, {"url": "https://example.com/b"}),
    "subscription": ({"endpoint": "crm"}, {"endpoint": "crm", "events": ["a"]}),
}
"""By noun, two definitions."""


class Client:
    """An admin of one kind of definitions."""

    def __init__(self, served: Served, resource: Resource) -> None:
        self.served, self.resource = served, resource
        self.one, self.two = SAMPLES[resource.noun]
        if resource.noun == "subscription":
            url = {"id": "crm", "url": "https://example.com/"}
            assert self.send("POST", "/v1/endpoints", url).status_code == 201

    def send(self, method: str, path: str, body: object, key: str = "", kind: str = "admin"):
        headers = {"Authorization": f"Bearer {self.served.keys[kind]}"}
        if key:
            headers["Idempotency-Key"] = key
        return self.served.client.request(method, path, json=body, headers=headers)

    def create(self, body: dict[str, Any], key: str = "", **fields: Any):
        return self.send("POST", self.resource.collection, body | fields, key)

    def replace(self, body: dict[str, Any], key: str = "", **fields: Any):
        return self.send("PUT", f"{self.resource.collection}/x", body | fields, key)

    def archive(self, key: str = "", **fields: Any):
        return self.send("DELETE", f"{self.resource.collection}/x", fields, key)

    def history(self, query: str = "", id_: str = "x"):
        path = f"{self.resource.collection}/{id_}/definitions{query}"
        return self.send("GET", path, None, kind="read")

    def changes(self) -> list[str]:
        return [row["change"] for row in self.history().json()["definitions"]]


@pytest.fixture(params=CURRENT, ids=lambda resource: resource.noun)
def client(served: Served, request: pytest.FixtureRequest) -> Client:
    return Client(served, request.param)


def subclasses(kind: type[Definition]) -> set[type[Definition]]:
    """Return the kinds of definitions: all subclasses that name their kind."""
    named = {kind} if hasattr(kind, "KIND") else set()
    return named.union(*map(subclasses, kind.__subclasses__()))


def test_every_kind_of_definition_is_served_and_has_a_sample(served: Served) -> None:
    kinds = [resource.commands(served.service).kind for resource in CURRENT]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == subclasses(Definition)
    assert SAMPLES.keys() == {resource.noun for resource in CURRENT}


def test_a_definition_from_creation_to_archival(client: Client) -> None:
    created = client.create(client.one, id="x", reason="spring")
    assert created.status_code == 201, created.text
    assert (created.json()["id"], created.json()["version"]) == ("x", 1)
    assert client.one.items() <= created.json().items() or client.resource.noun == "rule"
    assert client.create(client.two, id="x").status_code == 409
    replaced = client.replace(client.two, version=1, reason="summer")
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    unchanged = client.replace(client.two)
    assert (unchanged.status_code, unchanged.json()["version"]) == (200, 2)
    assert client.archive(version=2, reason="autumn").is_success
    assert client.archive().status_code == 404
    rows = client.history().json()["definitions"]
    assert [(row["version"], row["change"], row["reason"]) for row in rows] == [
        (1, "defined", "spring"),
        (2, "defined", "summer"),
        (3, "archived", "autumn"),
    ]
    [actor] = {row["actor"] for row in rows}
    assert actor in client.served.keys["admin"]


def test_a_stale_version_is_a_conflict_and_records_nothing(client: Client) -> None:
    client.create(client.one, id="x")
    client.replace(client.two)
    for answer in (
        client.replace(client.one, version=1),
        client.replace(client.one, version=0),
        client.archive(version=1),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert answer.json()["details"]["version"] == 2
        assert "version conflict" in answer.json()["message"]
    assert client.changes() == ["defined", "defined"]


def test_a_repeated_key_records_once(client: Client) -> None:
    commands = (
        lambda: client.create(client.one, "create"),
        lambda: client.create(client.one, "create-x", id="x"),
        lambda: client.replace(client.two, "replace"),
        lambda: client.replace(client.one),
    )
    first = [command() for command in commands]
    assert all(answer.is_success for answer in first)
    own, other = first[1].json()["id"], first[0].json()["id"]
    assert own != other
    # Repeated after other commands, which stand as they are.
    repeated = [command() for command in commands]
    assert [answer.json()["id"] for answer in repeated] == [other, own, own, own]
    assert [answer.json()["version"] for answer in repeated] == [1, 3, 3, 3]
    assert all(client.archive("archive").is_success for _ in "ab")
    assert client.archive().status_code == 404
    assert client.changes() == ["defined", "defined", "defined", "archived"]
    assert len(client.history(id_=other).json()["definitions"]) == 1


def test_a_repeated_creation_is_answered_with_200_and_shows_no_secret(client: Client) -> None:
    created, repeated = (client.create(client.one, "k", id="x") for _ in "ab")
    assert (created.status_code, repeated.status_code) == (201, 200)
    assert repeated.json().get("secret") is None
    assert repeated.json()["version"] == created.json()["version"]


def test_a_key_of_another_request_is_a_conflict(client: Client) -> None:
    client.create(client.one, "k", id="x")
    for answer in (
        client.create(client.two, "k", id="x"),
        client.create(client.one, "k", id="y"),
        client.replace(client.two, "k"),
        client.archive("k"),
    ):
        assert answer.status_code == 409
        assert "idempotency key" in answer.json()["message"]
    assert client.changes() == ["defined"]
    assert client.create(client.one, "\x7f").status_code == 400


def test_the_history_is_read_page_by_page(client: Client) -> None:
    client.create(client.one, id="x")
    for turn in range(5):
        client.replace((client.two, client.one)[turn % 2])
    client.archive()
    rows = client.history().json()["definitions"]
    assert [row["version"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[0].keys() == rows[-1].keys() == client.resource.schemas.revision.model_fields.keys()
    own = client.resource.schemas.revision.model_fields.keys() - {
        *("version", "position", "change", "decided_at", "recorded_at", "actor", "reason")
    }
    assert {rows[-1][name] for name in own} == {None}
    pages, query = [], "?limit=3"
    while query:
        page = client.history(query).json()
        pages += page["definitions"]
        query = page["next"] and f"?limit=3&cursor={page['next']}"
    assert pages == rows
    assert client.history(id_="never").status_code == 404
    assert client.history("?cursor=!").status_code == 400
    write = client.send("GET", f"{client.resource.collection}/x/definitions", None, kind="write")
    assert write.status_code == 403


def test_an_invalid_definition_records_nothing(client: Client) -> None:
    assert client.create({"surprise": 1}, id="x").status_code == 400
    assert client.create(client.one, id="No Id").status_code == 400
    assert client.create(client.one, id="x", reason="\0").status_code == 400
    assert client.history().status_code == 404


def test_other_workspaces_have_definitions_of_their_own(client: Client) -> None:
    client.create(client.one, id="x")
    service = client.served.service
    other = service.workspaces.create("other").id
    commands = client.resource.commands(service)
    assert commands.history(other, "x", limit=9) == []
    assert len(commands.history(client.served.workspace, "x", limit=9)) == 1


def replace_concurrently(client: Client) -> list[bool]:
    """Replace the same version in four threads; return which succeeded."""
    created = client.create(client.one, id="x").json()
    commands = client.resource.commands(client.served.service)
    definition = client.resource.schemas.replace.model_validate(client.two).definition
    start = Barrier(4)

    def replace(number: int) -> bool:
        start.wait(10)
        context = CommandContext(f"key-{number}", f"by {number}", f"k-{number}")
        try:
            commands.define(
                client.served.workspace, "x", definition, context, version=created["version"]
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        return [*threads.map(replace, range(4))]


def test_of_four_that_replace_the_same_version_one_succeeds(client: Client) -> None:
    assert sorted(replace_concurrently(client)) == [False, False, False, True]
    assert client.changes() == ["defined", "defined"]


def test_without_the_lock_the_version_prevents_a_lost_definition(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition_table, "lock_definitions", lambda *_: None)
    assert sorted(replace_concurrently(client)) == [False, False, False, True]
    assert client.changes() == ["defined", "defined"]


def test_an_id_is_used_again_only_where_nothing_in_the_ledger_names_it(client: Client) -> None:
    client.create(client.one, id="x")
    client.archive()
    again = client.create(client.one, id="x")
    if issubclass(client.resource.commands(client.served.service).kind, OutboundDefinition):
        assert (again.status_code, again.json()["version"]) == (201, 3)
    else:
        assert again.status_code == 409
        assert client.replace(client.one).json()["version"] == 3
