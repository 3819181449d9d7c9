"""CSV export of members, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import threading

import pytest

from domain.core.errors import Overloaded
from domain.core.identifiers import Identifier
from interfaces.http.api.segments import members_csv
from interfaces.http.kit.csv_response import encode_csv
from projections.segments.queries import segments
from tests.builders import tracked, user
from tests.integration.http.segment_calls import ask, bought, define, send
from tests.integration.http.serving import Served

ODD = ["=1+1", "+49 30 1", "-2", "@SUM(A1)", 'say "hi"', "a,b", "two\nlines", "plain"]


@pytest.fixture
def shop(served: Served) -> Served:
    """Buyers with odd names."""
    define(served, "buyers", {"event": "purchase"})
    for name in ODD:
        served.record(bought(user(name)))
    served.record(tracked("identify", user("plain"), Identifier("email", "p@example.com")))
    served.project()
    return served


def table(served: Served, segment: str = "buyers", **params) -> list[dict[str, str]]:
    answer = served.get(f"/v1/segments/{segment}/members.csv", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_every_member_is_a_row_with_identifiers_by_kind(shop: Served, monkeypatch) -> None:
    monkeypatch.setattr(members_csv, "PAGE_SIZE", 3)
    found = table(shop)
    known = ask(shop, "/segments/buyers/members", limit=100)["members"]
    assert [item["profile_id"] for item in found] == [item["profile_id"] for item in known]
    assert [item["entered_at"] for item in found] == [item["entered"]["at"] for item in known]
    assert {item["user_id"].removeprefix("'") for item in found} == set(ODD)
    assert {item["email"] for item in found if item["user_id"] == "plain"} == {"p@example.com"}


def test_formulas_are_escaped_and_other_cells_round_trip(shop: Served) -> None:
    cells = {cell for line in table(shop) for cell in line.values()}
    assert not any(item.startswith(tuple("=+-@\t\r\0")) for item in cells)
    odd = ["=", "+", "-", "@", "\t", "\r", "\0", "", "'", '"', ",", "\n", "\r\n", " =", "a=b"]
    [read] = csv.reader(io.StringIO(encode_csv([odd]).decode(), newline=""))
    assert [
        item if item == was else item.removeprefix("'") for item, was in zip(read, odd, strict=True)
    ] == odd
    assert encode_csv([["a,b", "c"]]) == b'"a,b",c\r\n'


def test_all_pages_come_from_one_snapshot(shop: Served, monkeypatch) -> None:
    """One profile enters between two pages, and another one is erased."""
    monkeypatch.setattr(members_csv, "PAGE_SIZE", 3)
    answer = segments.list_segment_members

    def meanwhile(*args):
        found = answer(*args)
        shop.record(bought(user(f"late-{len(ODD)}")))
        shop.project()
        return found

    monkeypatch.setattr(segments, "list_segment_members", meanwhile)
    assert len(table(shop)) == len(ODD)
    monkeypatch.undo()
    assert len(table(shop)) == len(ODD) + 1


def test_an_export_can_be_added_to_a_manual_list(shop: Served) -> None:
    send(shop, "PUT", "/copied", {"name": "Copied", "manual": True})
    file = shop.get("/v1/segments/buyers/members.csv").content
    headers = {"Authorization": f"Bearer {shop.keys['admin']}", "Content-Type": "text/csv"}
    put = shop.client.post("/v1/segments/copied/members", content=file, headers=headers).json()
    assert (put["recorded"], put["refused"]) == (len(ODD), [])
    shop.project()
    assert {item["profile_id"] for item in table(shop, "copied")} == {
        item["profile_id"] for item in table(shop)
    }


def test_an_export_as_of_an_instant_and_of_an_unknown_segment(shop: Served) -> None:
    first = min(item["entered_at"] for item in table(shop))
    assert [item["user_id"] for item in table(shop, as_of=first)] == ["'=1+1"]
    assert shop.get("/v1/segments/unknown/members.csv").status_code == 404
    assert shop.get("/v1/segments/buyers/members.csv?limit=3").status_code == 400
    assert shop.get("/v1/segments/buyers/members.csv", kind="write").status_code == 403


def test_concurrent_exports_are_limited_and_a_closed_one_frees_its_slot(shop: Served) -> None:
    free = threading.BoundedSemaphore(1)
    one = members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free)
    next(one)
    with pytest.raises(Overloaded):
        next(members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free))
    one.close()
    assert next(members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free))
