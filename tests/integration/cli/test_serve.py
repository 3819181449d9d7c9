"""`foldline serve` and `foldline worker`: start, stop, failures and processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from tests import processes
from tests.integration.cli.running import PATIENCE, Serving, client, status

pytestmark = pytest.mark.storage

Start = Callable[..., Serving]

POLLS_SECONDS = 0.5
"""Time in which a worker polls several times, so it would have applied or delivered pending work."""


def track(http: httpx2.Client, key: str, message_id: str) -> httpx2.Response:
    body = {"event": "Seen", "userId": "u-1", "messageId": message_id}
    return http.post("/v1/track", json=body, auth=(key, ""))


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.05)
    return result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_server_with_exit_code_0(start: Start, database: str, number: int) -> None:
    server = start("serve", "--port", "0", FOLDLINE_DSN=database)
    with httpx2.Client(base_url=server.url()) as http:  # an idle connection must not delay the stop
        assert http.get("/healthz/ready").json() == {"ready": True, "reasons": []}
        assert server.stop(number) == 0
    assert "Traceback" not in server.output


def test_the_first_start_prints_keys_that_work_and_later_ones_print_none(
    start: Start, database: str
) -> None:
    first = start("serve", "--port", "0", FOLDLINE_DSN=database)
    url = first.url()
    with client(url, first.key("read")) as http:
        sent = track(http, first.key("write"), "m-1")
        assert sent.status_code == 200
        params = {"name": "Seen", "min_position": sent.json()["position"]}
        assert len(http.get("/v1/events", params=params).json()["events"]) == 1
        assert http.get("/v1/keys").status_code == 403
    with client(url, first.key("admin")) as http:
        assert len(http.get("/v1/keys").json()["keys"]) == 3
    assert first.stop() == 0
    second = start("serve", "--port", "0", FOLDLINE_DSN=database)
    second.url()
    assert second.stop() == 0
    assert "cdp_live_" not in second.output


def test_a_running_request_is_completed_before_the_server_stops(
    start: Start, database: str
) -> None:
    server = start("serve", "--port", "0", FOLDLINE_DSN=database)
    address = server.url().removeprefix("http://").split(":")
    body = json.dumps({"event": "Late", "userId": "u-1", "writeKey": server.key("write")}).encode()
    with socket.create_connection((address[0], int(address[1])), timeout=30) as caller:
        head = f"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body[:10])
        time.sleep(0.3)  # the server has read the start of it
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not _is_listening(int(address[1])))
        caller.sendall(body[10:])
        assert caller.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert server.ended() == 0


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.smoke
def test_messages_acknowledged_before_the_stop_are_in_the_ledger(
    start: Start, database: str, foldline: Callable[..., Any]
) -> None:
    server = start("serve", "--port", "0", FOLDLINE_DSN=database)
    url, key = server.url(), server.key("write")
    acknowledged: list[str] = []

    def send(sender: int) -> None:
        with httpx2.Client(base_url=url) as http:
            for number in range(100_000):
                try:
                    if track(http, key, f"{sender}-{number}").status_code == 200:
                        acknowledged.append(f"{sender}-{number}")
                except httpx2.HTTPError:
                    return

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()
    eventually(lambda: len(acknowledged) > 100)
    assert server.stop() == 0
    for sender in senders:
        sender.join(PATIENCE)
    listed = json.loads(foldline("workspaces", "list", "--json").stdout)
    recorded = listed["workspaces"][0]["head"]
    # At most one response per sender may have been lost.
    assert len(acknowledged) <= recorded <= len(acknowledged) + len(senders)


def test_a_port_in_use_is_reported_before_the_database_is_started(
    foldline: Callable[..., Any], home: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = foldline("serve", "--port", str(port), "--home", str(home), dsn="")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [*home.iterdir()] == []


def test_with_no_worker_a_server_leaves_the_read_models_to_another_process(
    start: Start, database: str
) -> None:
    server = start("serve", "--port", "0", "--no-worker", FOLDLINE_DSN=database)
    url = server.url()
    with httpx2.Client(base_url=url) as http:
        assert track(http, server.key("write"), "m-1").status_code == 200
    _assert_read_models_untouched(url, server.key("read"))
    worker = start("worker", FOLDLINE_DSN=database)
    worker.wait_for("The worker follows the ledger")
    eventually(lambda: all(not it["lag"] for it in status(url, server.key("read"))["projections"]))
    assert worker.stop() == 0
    assert server.stop(signal.SIGINT) == 0


def test_two_workers_can_have_one_role_each(start: Start, database: str) -> None:
    server = start("serve", "--port", "0", "--no-worker", FOLDLINE_DSN=database)
    url = server.url()
    with client(url, server.key("admin")) as admin:
        plan = {"trigger": {"event": "Seen"}, "actions": [{"add_tag": {"tag": "seen"}}]}
        assert admin.post("/v1/rules", json={"id": "r", "name": "R", **plan}).status_code == 201
        assert admin.post("/v1/rules/r/enable").status_code == 200
    with httpx2.Client(base_url=url) as http:
        assert track(http, server.key("write"), "m-1").status_code == 200
    sender = start("worker", "--only", "sending", FOLDLINE_DSN=database)
    sender.wait_for("another worker must maintain the read models")
    _assert_read_models_untouched(url, server.key("read"))
    assert sender.stop() == 0
    projector = start("worker", "--only", "read-models", FOLDLINE_DSN=database)
    projector.wait_for("another worker must deliver")
    with client(url, server.key("read")) as http:
        eventually(lambda: http.get("/v1/rules/r/triggers").json().get("triggers"))
        time.sleep(POLLS_SECONDS)
        assert http.get("/v1/events", params={"name": "Tag Added"}).json()["events"] == []
        sender = start("worker", "--only", "sending", FOLDLINE_DSN=database)
        eventually(lambda: http.get("/v1/events", params={"name": "Tag Added"}).json()["events"])
    assert sender.stop() == projector.stop() == server.stop() == 0


def _assert_read_models_untouched(url: str, read_key: str) -> None:
    time.sleep(POLLS_SECONDS)
    assert {it["position"] for it in status(url, read_key)["projections"]} == {0}


def test_server_processes_share_the_port_and_stop_together(start: Start, database: str) -> None:
    server = start("serve", "--port", "0", "--workers", "2", FOLDLINE_DSN=database)
    url, key = server.url(), server.key("write")
    workers = psutil.Process(server.process.pid).children(recursive=True)
    assert len(workers) >= 2
    for number in range(20):
        with httpx2.Client(base_url=url) as http:
            assert track(http, key, f"m-{number}").status_code == 200
    eventually(lambda: status(url, server.key("read"))["projections"][0]["position"] == 20)
    assert server.stop() == 0
    assert "Traceback" not in server.output
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_a_dead_server_process_is_replaced_unless_it_fails_to_start(
    start: Start, database: str
) -> None:
    server = start("serve", "--port", "0", "--workers", "2", FOLDLINE_DSN=database)
    url = server.url()
    first = _server_processes(server)
    os.kill(min(first), signal.SIGKILL)
    eventually(lambda: len(_server_processes(server) - {min(first)}) == 2)
    assert status(url, server.key("read"))["head"] == 0
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    os.kill(min(_server_processes(server)), signal.SIGKILL)
    assert server.ended() == 1
    assert "synchronous_commit is off" in server.output
    assert "error: a server process failed to start" in server.output
    assert "Traceback" not in server.output


def _server_processes(server: Serving) -> set[int]:
    """Return the ids of the server processes, without the resource tracker that Python starts."""
    children = psutil.Process(server.process.pid).children()
    return {
        child.pid for child in processes.named(children, lambda command: "spawn_main" in command)
    }


def test_server_processes_do_not_outlive_a_killed_parent(start: Start, database: str) -> None:
    server = start("serve", "--port", "0", "--workers", "2", FOLDLINE_DSN=database)
    url = server.url()
    workers = psutil.Process(server.process.pid).children(recursive=True)
    os.kill(server.process.pid, signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert not _is_listening(int(url.rpartition(":")[2]))


def test_the_embedded_database_starts_and_stops_with_the_server(start: Start, home: Any) -> None:
    server = start("serve", "--port", "0", "--home", str(home))
    url, key = server.url(), server.key("write")
    with httpx2.Client(base_url=url) as http:
        assert track(http, key, "m-1").status_code == 200
    assert (home / "postgres" / "postmaster.pid").exists()
    assert server.stop() == 0
    assert not (home / "postgres" / "postmaster.pid").exists()
    again = start("serve", "--port", "0", "--home", str(home))
    assert status(again.url(), server.key("read"))["head"] == 1
    assert again.stop(signal.SIGINT) == 0
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_a_database_server_that_could_lose_events_is_rejected_with_the_reason(
    foldline: Callable[..., Any], database: str
) -> None:
    done = foldline("serve", "--port", "0", dsn=f"{database}&options=-c%20synchronous_commit%3Doff")
    assert done.returncode == 1
    assert "synchronous_commit is off" in done.stderr
    assert "Traceback" not in done.stderr
