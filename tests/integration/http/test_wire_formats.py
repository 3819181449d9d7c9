"""Every wire format answers in its own form: the registered ones, and that of the how-to."""

from __future__ import annotations

import gzip
import importlib.util
import pkgutil
import sys

import pytest
from starlette.testclient import TestClient

from interfaces import wire
from interfaces.http.app import create_app
from interfaces.http.ingest import Ingest
from interfaces.http.kit.errors import STATUS_BY_ERROR
from interfaces.http.request_body import BodyMemory
from interfaces.wire import FORMATS
from interfaces.wire.contract import Problem, ProblemKind, WireFormat
from tests.pages import Page


def toy(tmp_path_factory) -> WireFormat:
    """Load the format of the how-to page."""
    file = tmp_path_factory.mktemp("toy") / "cloudevents.py"
    file.write_text(Page("howto/add-a-wire-format.md").file("interfaces/wire/cloudevents.py"))
    spec = importlib.util.spec_from_file_location("cloudevents", file)
    module = sys.modules["cloudevents"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FORMAT


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    return {**FORMATS, "cloudevents": toy(tmp_path_factory)}


NAMES = [*(name for name, wire_format in FORMATS.items() if wire_format.http), "cloudevents"]


class Sender:
    """Sends a format's example, changed in one way."""

    def __init__(self, served, wire_format: WireFormat, **options) -> None:
        self.served, self.format, self.dialect = served, wire_format, wire_format.http
        ingest = Ingest(served.service, [wire_format], **options)
        self.client = TestClient(create_app(served.service, ingest), follow_redirects=False)

    def send(self, *, key="write", body=None, method=None, path=None, headers=()):
        example = self.dialect.example(self.served.keys.get(key, key))
        return self.client.request(
            method or example.method,
            path or example.path,
            content=example.body if body is None else body,
            headers={**example.headers, **dict(headers)},
        )

    def assert_refused(self, answer, kind: ProblemKind, code: str, text: str = "") -> None:
        """The answer is what the format says of this problem, and carries a code and a message."""
        form = self.dialect.answers.refuse(Problem(kind, code, "MESSAGE"))
        before, after = form.body.split(b"MESSAGE")
        assert answer.status_code == form.status >= 400
        assert answer.content.startswith(before)
        assert answer.content.endswith(after)
        assert text in answer.text
        assert answer.headers["content-type"] == form.content_type.decode()


@pytest.fixture
def sender(served, formats, request):
    return Sender(served, formats[request.param])


each_format = pytest.mark.parametrize("sender", NAMES, indirect=True)


def test_every_module_that_declares_a_format_is_registered():
    declared = {
        value.name
        for module in pkgutil.walk_packages(wire.__path__, "interfaces.wire.")
        for value in vars(__import__(module.name, fromlist=["_"])).values()
        if isinstance(value, WireFormat)
    }
    assert declared == set(FORMATS)


@each_format
def test_the_example_is_accepted_and_recorded(sender):
    before = sender.served.service.ledger.head(sender.served.workspace)
    for path in (None, sender.dialect.example("").path + "/"):
        assert 200 <= sender.send(path=path).status_code < 300
    assert sender.served.service.ledger.head(sender.served.workspace) > before


@each_format
@pytest.mark.parametrize("key", ["read", "wrong", ""])
def test_a_key_that_may_not_write_is_refused(sender, key):
    sender.assert_refused(sender.send(key=key), ProblemKind.KEY, "invalid_write_key")
    assert sender.served.service.ledger.head(sender.served.workspace) == 0


@each_format
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_that_is_too_large_is_refused_and_kept(sender, chunked, packed):
    limits = sender.dialect.limits
    size = limits.body_bytes if limits else sender.served.service.settings.max_batch_bytes
    body = b" " * size + sender.dialect.example("").body
    body = gzip.compress(body, 1) if packed else body
    answer = sender.send(body=iter([body[:1000], body[1000:]]) if chunked else body)
    sender.assert_refused(answer, ProblemKind.BODY, "body_too_large")
    assert codes(sender) == ["body_too_large"]


def codes(sender) -> list[str]:
    return [
        row["code"] for row in sender.served.get("/v1/rejected", kind="admin").json()["rejected"]
    ]


@each_format
def test_a_broken_body_is_refused(sender):
    answer = sender.send(body=sender.dialect.example("").body[:-1])
    [code] = codes(sender) or ["?"]
    sender.assert_refused(answer, ProblemKind.BODY, code)
    assert code != "?"


@each_format
def test_another_method_is_refused(sender):
    answer = sender.send(method="PATCH")
    sender.assert_refused(answer, ProblemKind.METHOD, "invalid_request", "method not allowed")


@each_format
def test_pages_of_other_origins_may_send_as_the_format_says(sender):
    origin = {"Origin": "https://shop.example"}
    answer = sender.send(headers=origin)
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin["Origin"] if sender.dialect.cors else None)
    preflight = sender.send(method="OPTIONS", body=b"", headers=origin)
    assert (preflight.status_code == 200) == (sender.dialect.cors is not None)
    if sender.dialect.cors:
        methods = preflight.headers["access-control-allow-methods"]
        assert methods.encode() == sender.dialect.cors.methods
        assert sender.dialect.cors.methods.startswith(b"GET, POST")


@pytest.mark.parametrize("name", NAMES)
def test_beyond_the_memory_of_all_requests_a_client_is_to_send_again(served, formats, name):
    memory = BodyMemory(max_bytes=2_000)
    sender = Sender(served, formats[name], memory=memory)
    body = b" " * 1_000 + sender.dialect.example("").body
    assert sender.send(body=body).status_code < 300
    with memory.request() as other:
        other.add(1_500)
        refused = sender.send(body=body)
        packed = sender.send(body=gzip.compress(body))
    for answer in (refused, packed):
        sender.assert_refused(answer, ProblemKind.UNAVAILABLE, "overloaded")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert memory.held == 0
    assert codes(sender) == []
    assert sender.send(body=body).status_code < 300


@each_format
@pytest.mark.parametrize(
    "error", [kind for kind, status in STATUS_BY_ERROR.items() if status == 503]
)
def test_whatever_can_pass_asks_clients_to_send_again(sender, monkeypatch, error):
    def fail(*_):
        raise error("not now")

    monkeypatch.setattr(sender.served.service.ledger.commits, "submit", fail)
    sender.assert_refused(sender.send(), ProblemKind.UNAVAILABLE, error.code, "not now")


def test_a_path_parameter_is_decoded_after_routing(served, formats):
    sender = Sender(served, formats["cloudevents"])
    assert sender.send(path="/cloudevents/a%2Fb").status_code == 202
    assert sender.send(path="/cloudevents/a/b").status_code == 404
    refused = sender.send(path="/cloudevents/%ff")
    sender.assert_refused(refused, ProblemKind.MESSAGE, "invalid_id")


def test_no_format_takes_a_path_of_the_native_api(shared):
    ingest = Ingest(shared.service)
    paths = shared.app.api.openapi()["paths"]
    assert [path for path in paths if ingest.find(path.encode()) is not None] == []
