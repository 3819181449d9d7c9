"""Health and metrics, which need no key."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from domain.core.errors import UnsafeServer
from domain.identity.resolution import LARGE_COMPONENT
from interfaces.http import projection_health
from interfaces.http.app import create_app
from tests.builders import anonymous, tracked, user
from tests.integration.http.serving import serving


@contextmanager
def client_of(service):
    with TestClient(create_app(service)) as client:
        yield client


def test_a_healthy_server_is_live_and_ready(served):
    assert served.client.get("/healthz/live").json() == {"status": "ok"}
    ready = served.client.get("/healthz/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})


def test_without_a_database_it_is_live_but_not_ready():
    nowhere = "host=127.0.0.1 port=1 user=operator dbname=nothing"
    with serving(nowhere) as service, client_of(service) as client:
        assert client.get("/healthz/live").status_code == 200
        ready = client.get("/healthz/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"][0]["code"] == "ledger_unavailable"
        assert "operator" not in ready.text
        assert "foldline_database_up 0.0" in client.get("/metrics").text


def test_without_a_database_a_query_has_a_retry_after():
    nowhere = "host=127.0.0.1 port=1 user=operator dbname=nothing"
    key = "cdp_live_read_AAAAAAAAAAAA_" + "A" * 43
    from application.ledger.tables.keys import _checksum

    headers = {"Authorization": f"Bearer {key}_{_checksum(key)}"}
    with serving(nowhere) as service, client_of(service) as client:
        answer = client.get("/v1/status", headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "ledger_unavailable"
    assert "operator" not in answer.text


def test_an_unsafe_database_is_named(served):
    def gate():
        raise UnsafeServer("fsync is off")

    with client_of(replace(served.service, check_database=gate)) as client:
        ready = client.get("/healthz/ready")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == [{"code": "unsafe_server", "message": "fsync is off"}]


def test_a_stalled_read_model_is_named(served, monkeypatch):
    served.record(tracked())
    assert served.client.get("/healthz/ready").status_code == 200
    monkeypatch.setattr(projection_health, "STALLED_SECONDS", 0.0)
    ready = served.client.get("/healthz/ready")
    assert ready.status_code == 503
    assert {item["code"] for item in ready.json()["reasons"]} == {"projection_stalled"}
    served.project()
    assert served.client.get("/healthz/ready").status_code == 200


def test_metrics_have_read_model_progress(served):
    head = served.record(tracked(), tracked()).position
    text = served.client.get("/metrics").text
    assert "foldline_database_up 1.0" in text
    assert f"foldline_ledger_events {head}.0" in text
    assert f'foldline_projection_lag{{projection="seen"}} {head}.0' in text
    served.project()
    text = served.client.get("/metrics").text
    assert 'foldline_projection_lag{projection="seen"} 0.0' in text
    assert f'foldline_projection_events{{projection="seen"}} {head}.0' in text


def test_metrics_count_implausibly_large_profiles(served):
    served.record(*(tracked("Viewed", user(), anonymous(f"a-{n}")) for n in range(LARGE_COMPONENT)))
    assert "foldline_large_profiles 0.0" in served.client.get("/metrics").text
    served.project()
    assert "foldline_large_profiles 1.0" in served.client.get("/metrics").text


def test_metrics_have_the_prometheus_format(served):
    from prometheus_client.parser import text_string_to_metric_families

    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert {item.name for item in text_string_to_metric_families(answer.text)} >= {
        "foldline_ingest_requests",
        "foldline_flush_messages",
        "foldline_messages_waiting",
    }


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready"])
def test_health_is_json(served, path):
    assert served.client.get(path).headers["content-type"] == "application/json"
