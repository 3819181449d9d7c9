"""The page on TLS: its configurations, in the real proxies, pass on what clients send."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
import trustme

from tests.listening import listening
from tests.pages import Page, Serve, Shell
from tests.serving import free_port

PAGE = Page("howto/tls-behind-a-proxy.md")
HOST = "events.example.com"


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of the shell's server."""

    shell: Shell
    tls: int
    plain: int

    def curl(self, arguments: str, *, scheme: str = "https", path: str = "/") -> tuple[int, str]:
        """Return status and body of a request by the public name."""
        port = self.tls if scheme == "https" else self.plain
        answered = self.shell.run(
            f"curl -s --max-time 20 --cacert ca.pem --resolve {HOST}:{port}:127.0.0.1"
            f" -w '\\n%{{http_code}}' {arguments} '{scheme}://{HOST}:{port}{path}'"
        )
        body, _, status = answered.rpartition("\n")
        return int(status), body


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, serve: Serve) -> Iterator[Proxy]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    shell = serve()
    proxy = Proxy(shell, free_port(), free_port())
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(
        str(shell.folder / "both.pem")
    )
    command = {"nginx": _nginx, "caddy": _caddy}[request.param](proxy)
    with _running(command, proxy):
        yield proxy


def test_events_go_through_and_are_read_back(proxy: Proxy):
    body = json.dumps({"event": "Hello", "userId": "a/b", "properties": {"text": "x" * 30_000}})
    (proxy.shell.folder / "body.json").write_text(body)
    status, answer = proxy.curl('-u "$WRITE_KEY:" -d @body.json', path="/v1/track")
    assert status == 200, answer
    position = json.loads(answer)["position"]
    status, answer = proxy.curl(
        '-H "Authorization: Bearer $READ_KEY"',
        path=f"/v1/profiles/user_id:a%2Fb?min_position={position}",
    )
    assert status == 200, answer
    assert json.loads(answer)["identifiers"] == [{"kind": "user_id", "value": "a/b"}]


def test_the_largest_batch_goes_through(proxy: Proxy):
    message = {"type": "track", "event": "Hello", "userId": "u", "properties": {"t": "x" * 20_000}}
    body = json.dumps({"batch": [message] * 24})
    assert 400_000 < len(body) < 512_000
    (proxy.shell.folder / "body.json").write_text(body)
    assert proxy.curl('-u "$WRITE_KEY:" -d @body.json', path="/v1/batch")[0] == 200


def test_browsers_are_sent_to_the_public_address(proxy: Proxy):
    key = proxy.shell.environment["WRITE_KEY"]
    _, answer = proxy.curl("", path=f"/v1/projects/{key}/settings")
    destination = json.loads(answer)["integrations"]["Segment.io"]
    assert destination["protocol"] == "https"
    assert destination["apiHost"] == f"{HOST}:{proxy.tls}/v1"


def test_plain_http_is_refused_and_never_redirected(proxy: Proxy):
    status, answer = proxy.curl('-u "$WRITE_KEY:" -d "{}"', scheme="http", path="/v1/track")
    assert (status, answer) == (400, f"send to https://{HOST}")


def test_operators_reach_metrics_from_inside(proxy: Proxy):
    assert proxy.curl("", path="/metrics")[0] == 200
    assert proxy.curl("", path="/healthz/ready")[0] == 200


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the page has no {old!r}"
        text = text.replace(old, new)
    return text


def _nginx(proxy: Proxy) -> list[str]:
    folder = proxy.shell.folder
    page = _replaced(
        PAGE.file("foldline.conf"),
        {
            "server 127.0.0.1:8080": f"server {_upstream(proxy)}",
            "listen 443 ssl": f"listen 127.0.0.1:{proxy.tls} ssl",
            "listen 80": f"listen 127.0.0.1:{proxy.plain}",
            "/etc/ssl/events.example.com/fullchain.pem": str(folder / "both.pem"),
            "/etc/ssl/events.example.com/privkey.pem": str(folder / "both.pem"),
        },
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{page}}}\n"
    )
    command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    return command


def _caddy(proxy: Proxy) -> list[str]:
    folder = proxy.shell.folder
    page = _replaced(
        PAGE.file("Caddyfile"),
        {
            f"https://{HOST} {{": f"https://{HOST}:{proxy.tls} {{\n\ttls both.pem both.pem",
            f"http://{HOST} {{": f"http://{HOST}:{proxy.plain} {{",
            "127.0.0.1:8080": _upstream(proxy),
        },
    )
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{page}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", "Caddyfile"]


def _upstream(proxy: Proxy) -> str:
    return proxy.shell.environment["URL"].removeprefix("http://")


def _running(command: list[str], proxy: Proxy) -> AbstractContextManager[None]:
    folder = proxy.shell.folder
    environment = proxy.shell.environment | {"HOME": str(folder)}
    return listening(command, folder, environment, "proxy.log", proxy.tls, proxy.plain)
