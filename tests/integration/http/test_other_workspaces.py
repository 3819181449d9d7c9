"""Profile ids are no secret: with one of another workspace nothing can be read or changed."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.builders import anonymous, merged, tracked, user
from tests.integration.http.serving import Served

ANN, PHONE, UNKNOWN = user("ann"), anonymous("a-1"), UUID(int=7)


@pytest.fixture
def outsider(served: Served) -> Served:
    """Return the same server with the keys of another, empty workspace."""
    served.record(tracked("Viewed", ANN, PHONE), merged(ANN, user("ann-2")), tracked("Bought", ANN))
    served.project()
    service = served.service
    other = service.workspaces.create("other").id
    keys = {kind: service.keys.create(other, kind).text for kind in served.keys}
    return Served(service, served.app, served.client, other, keys)


def ids(served: Served) -> list[UUID]:
    return [served.service.ledger.stream_of(served.workspace, item) for item in (ANN, PHONE)]


def ask(outsider: Served, method: str, path: str, **body):
    headers = {"Authorization": f"Bearer {outsider.keys['admin']}"}
    return outsider.client.request(method, f"/v1{path}", headers=headers, json=body)


def seen(served: Served) -> list:
    """Return all reads of the owner: profile, history by page, export."""
    path = f"/v1/profiles/{ANN}"
    pages, cursor = [], ""
    while cursor is not None and len(pages) < 20:
        page = served.get(f"{path}/history?limit=1{cursor}").json()
        pages += page["history"]
        cursor = page["next"] and f"&cursor={page['next']}"
    past = served.get(f"{path}?as_of=999").json()
    return [past["counts"], past["identifiers"], pages, served.get(f"{path}/export").text]


REQUESTS = [
    ("DELETE", "/profiles/{id}", {}),
    ("DELETE", "/profiles/{id}", {"suppress": True}),
    ("DELETE", "/profiles/{id}", {"reason": "ann asked"}),
    ("POST", "/profiles/suppress", {"profile": "{id}"}),
    ("POST", "/profiles/suppress", {"profile": "{id}", "erase": False}),
    ("POST", "/profiles/suppress", {"profile": "{id}", "reason": "ann asked"}),
    ("POST", "/profiles/unsuppress", {"profile": "{id}"}),
    ("POST", "/profiles/unmerge", {"identifier": "{id}", "reason": "a test"}),
    ("POST", "/profiles/merge", {"primary": "{id}", "secondary": "{id}", "reason": "a test"}),
    ("GET", "/profiles/{id}/history", {}),
    ("GET", "/profiles/{id}/export", {}),
    ("GET", "/profiles/{id}/timeline", {}),
    ("GET", "/profiles/{id}?as_of=999", {}),
    ("GET", "/profiles/{id}/diff?from=0", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_profile_of_another_workspace_is_answered_like_an_unknown_one(
    served: Served, outsider: Served, method: str, path: str, body: dict
) -> None:
    before = seen(served)
    answers = {}
    for id_ in (UNKNOWN, *ids(served)):
        filled = {
            key: item.format(id=id_) if isinstance(item, str) else item
            for key, item in body.items()
        }
        answer = ask(outsider, method, path.format(id=id_), **filled)
        answers[id_] = answer.status_code, answer.text.replace(str(id_), "ID")
    assert set(answers.values()) == {(404, answers[UNKNOWN][1])}
    assert seen(served) == before
    assert outsider.service.ledger.read(outsider.workspace, 0, 9) == []


def test_identifiers_of_another_workspace_are_unknown_to_a_list(
    served: Served, outsider: Served
) -> None:
    assert ask(outsider, "PUT", "/segments/testers", name="Testers", manual=True).is_success
    references = [f"{item}" for item in (*ids(served), ANN, PHONE, user("ann-2"))]
    done = ask(outsider, "POST", "/segments/testers/members", add=references).json()
    assert (done["accepted"], done["recorded"]) == (0, 0)
    assert {item["code"] for item in done["refused"]} == {"unknown"}
