"""A profile id is no secret: who holds one of another workspace can neither see nor move anything by it."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.builders import anonymous, merged, tracked, user
from tests.integration.http.serving import Served

ANN, PHONE, NOBODY = user("ann"), anonymous("a-1"), UUID(int=7)


@pytest.fixture
def stranger(served: Served) -> Served:
    """The same server, with the keys of another workspace in which nobody is known."""
    served.record(tracked("Viewed", ANN, PHONE), merged(ANN, user("ann-2")), tracked("Bought", ANN))
    served.project()
    service = served.service
    other = service.workspaces.create("other").id
    keys = {kind: service.keys.create(other, kind).text for kind in served.keys}
    return Served(service, served.app, served.client, other, keys)


def ids(served: Served) -> list[UUID]:
    return [served.service.ledger.stream_of(served.workspace, it) for it in (ANN, PHONE)]


def ask(stranger: Served, method: str, path: str, **body):
    headers = {"Authorization": f"Bearer {stranger.keys['admin']}"}
    return stranger.client.request(method, f"/v1{path}", headers=headers, json=body)


def seen(served: Served) -> list:
    """What the owner sees: as of now, by page, and all of it."""
    path = f"/v1/profiles/{ANN}"
    pages, cursor = [], ""
    while cursor is not None and len(pages) < 20:
        page = served.get(f"{path}/history?limit=1{cursor}").json()
        pages += page["history"]
        cursor = page["next"] and f"&cursor={page['next']}"
    past = served.get(f"{path}?as_of=999").json()
    return [past["counts"], past["identifiers"], pages, served.get(f"{path}/export").text]


ASKED = [
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


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_who_is_known_elsewhere_is_answered_like_nobody_and_stays_as_they_were(
    served: Served, stranger: Served, method: str, path: str, body: dict
) -> None:
    before = seen(served)
    answers = {}
    for id_ in (NOBODY, *ids(served)):
        said = {key: it.format(id=id_) if isinstance(it, str) else it for key, it in body.items()}
        answer = ask(stranger, method, path.format(id=id_), **said)
        answers[id_] = answer.status_code, answer.text.replace(str(id_), "ID")
    assert set(answers.values()) == {(404, answers[NOBODY][1])}
    assert seen(served) == before
    assert stranger.service.ledger.read(stranger.workspace, 0, 9) == []


def test_what_is_linked_elsewhere_makes_nobody_known_on_a_list(
    served: Served, stranger: Served
) -> None:
    assert ask(stranger, "PUT", "/segments/testers", name="Testers", manual=True).is_success
    everybody = [f"{it}" for it in (*ids(served), ANN, PHONE, user("ann-2"))]
    done = ask(stranger, "POST", "/segments/testers/members", add=everybody).json()
    assert (done["accepted"], done["recorded"]) == (0, 0)
    assert {it["code"] for it in done["refused"]} == {"unknown"}
