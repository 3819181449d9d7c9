"""Everybody in a segment as a file that a spreadsheet can open without harm."""

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


def test_every_member_is_a_line_with_all_names_by_kind(shop: Served, monkeypatch) -> None:
    monkeypatch.setattr(members_csv, "PAGE_SIZE", 3)
    found = table(shop)
    known = ask(shop, "/segments/buyers/members", limit=100)["members"]
    assert [it["profile_id"] for it in found] == [it["profile_id"] for it in known]
    assert [it["entered_at"] for it in found] == [it["entered"]["at"] for it in known]
    assert {it["user_id"].removeprefix("'") for it in found} == set(ODD)
    assert {it["email"] for it in found if it["user_id"] == "plain"} == {"p@example.com"}


def test_no_cell_is_a_formula_and_every_other_comes_back_as_it_was(shop: Served) -> None:
    cells = {cell for line in table(shop) for cell in line.values()}
    assert not any(it.startswith(tuple("=+-@\t\r\0")) for it in cells)
    odd = ["=", "+", "-", "@", "\t", "\r", "\0", "", "'", '"', ",", "\n", "\r\n", " =", "a=b"]
    [read] = csv.reader(io.StringIO(encode_csv([odd]).decode(), newline=""))
    assert [
        it if it == was else it.removeprefix("'") for it, was in zip(read, odd, strict=True)
    ] == odd
    assert encode_csv([["a,b", "c"]]) == b'"a,b",c\r\n'


def test_all_pages_are_of_one_moment(shop: Served, monkeypatch) -> None:
    """Somebody enters between two pages, and somebody else is erased from them."""
    monkeypatch.setattr(members_csv, "PAGE_SIZE", 3)
    answer = segments.list_segment_members

    def meanwhile(*asked):
        found = answer(*asked)
        shop.record(bought(user(f"late-{len(ODD)}")))
        shop.project()
        return found

    monkeypatch.setattr(segments, "list_segment_members", meanwhile)
    assert len(table(shop)) == len(ODD)
    monkeypatch.undo()
    assert len(table(shop)) == len(ODD) + 1


def test_it_can_be_put_on_a_list_as_it_is(shop: Served) -> None:
    send(shop, "PUT", "/copied", {"name": "Copied", "manual": True})
    file = shop.get("/v1/segments/buyers/members.csv").content
    headers = {"Authorization": f"Bearer {shop.keys['admin']}", "Content-Type": "text/csv"}
    put = shop.client.post("/v1/segments/copied/members", content=file, headers=headers).json()
    assert (put["recorded"], put["refused"]) == (len(ODD), [])
    shop.project()
    assert {it["profile_id"] for it in table(shop, "copied")} == {
        it["profile_id"] for it in table(shop)
    }


def test_what_was_is_there_too_and_what_is_not_is_not_found(shop: Served) -> None:
    first = min(it["entered_at"] for it in table(shop))
    assert [it["user_id"] for it in table(shop, as_of=first)] == ["'=1+1"]
    assert shop.get("/v1/segments/nobody/members.csv").status_code == 404
    assert shop.get("/v1/segments/buyers/members.csv?limit=3").status_code == 400
    assert shop.get("/v1/segments/buyers/members.csv", kind="write").status_code == 403


def test_only_some_are_written_at_once_and_whoever_stops_reading_makes_room(shop: Served) -> None:
    free = threading.BoundedSemaphore(1)
    one = members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free)
    next(one)
    with pytest.raises(Overloaded):
        next(members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free))
    one.close()
    assert next(members_csv.export_members(shop.service, shop.workspace, "buyers", slots=free))
