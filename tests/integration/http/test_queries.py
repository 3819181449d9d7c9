"""Query routes: parameters, `min_position`, concurrency, snapshot."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from interfaces.http.kit import concurrency_limit
from interfaces.query_connections import create_query_engine
from tests.builders import tracked


def test_a_query_answers_from_its_read_model(served):
    position = served.record(tracked("Viewed"), tracked("Bought")).position
    served.project()
    assert served.get("/v1/seen/a/names").json() == {
        "ref": "a",
        "names": ["Viewed", "Bought"],
        "next": None,
        "projected_to": position,
    }


def test_an_admin_key_may_query_too(served):
    assert served.get("/v1/seen/a/names", "admin").status_code == 200


def test_a_repeated_parameter_is_a_list(served):
    served.record(tracked("A"), tracked("B"), tracked("C"))
    served.project()
    assert served.get("/v1/seen/a/names?name=A&name=C").json()["names"] == ["A", "C"]
    assert served.get("/v1/seen/a/names?name=B&limit=1").json()["names"] == ["B"]


@pytest.mark.parametrize(
    "sent", ["user_id:a%2Fb", "user_id%3Aa%2Fb%20c", "%25", "%252F", "e%C3%A9", "a+b"]
)
def test_a_reference_may_contain_any_character(served, sent):
    from urllib.parse import unquote

    assert served.get(f"/v1/seen/{sent}/names").json()["ref"] == unquote(sent)


def test_a_query_sees_its_own_workspace_only(served):
    served.record(tracked("Viewed"))
    served.project()
    other = served.service.workspaces.create("other").id
    served.keys["read"] = served.service.keys.create(other, "read").text
    assert served.get("/v1/seen/a/names").json()["names"] == []


def test_min_position_waits_until_the_read_model_has_reached_it(served):
    position = served.record(tracked("Viewed")).position
    late = threading.Timer(0.1, served.project)
    late.start()
    answer = served.get(f"/v1/seen/a/names?min_position={position}")
    late.join()
    assert answer.json()["names"] == ["Viewed"]
    assert answer.json()["projected_to"] >= position


def test_min_position_that_has_been_reached_does_not_wait(served):
    position = served.record(tracked("Viewed")).position
    served.project()
    assert served.get(f"/v1/seen/a/names?min_position={position}").status_code == 200
    assert served.get("/v1/seen/a/names?min_position=0").status_code == 200


def test_min_position_head_waits_for_the_current_head(served):
    served.record(tracked("Viewed"))
    late = threading.Timer(0.1, served.project)
    late.start()
    answer = served.get("/v1/seen/a/names?min_position=head")
    late.join()
    assert answer.json()["names"] == ["Viewed"]


def test_min_position_times_out_with_the_positions(served):
    position = served.record(tracked("Viewed")).position
    started = time.monotonic()
    answer = served.get(f"/v1/seen/a/names?min_position={position}")
    assert answer.status_code == 503
    assert 0.3 <= time.monotonic() - started < 3
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "not_projected_yet"
    assert answer.json()["details"] == {
        "position": 0,
        "min_position": position,
        "waited_seconds": 0.3,
    }


def test_more_queries_than_connections_are_queued(served):
    served.record(tracked("Viewed"))
    served.project()
    statuses = []

    def ask():
        statuses.append(served.get("/v1/seen/a/names").status_code)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40


def test_a_query_beyond_the_queue_is_refused_at_once(shared, monkeypatch):
    monkeypatch.setattr(concurrency_limit, "MAX_WAITING", 0)
    answer = shared.get("/v1/seen/a/names")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"


def test_a_query_cannot_write(database):
    engine = create_query_engine(database)
    with engine.connect() as tx, pytest.raises(DBAPIError, match="read-only transaction"):
        tx.execute(text("CREATE TABLE public.nothing ()"))
    engine.dispose()


def test_a_query_reads_one_snapshot(served):
    with served.service.engine.connect() as tx:
        count = text("SELECT count(*) FROM ledger.event")
        before = tx.execute(count).scalar_one()
        served.record(tracked("Viewed"))
        assert tx.execute(count).scalar_one() == before
