"""Paths of Segment's browser SDK besides events: project settings and SDK metrics."""

from __future__ import annotations

from typing import Any

import msgspec

from interfaces.wire.contract import Answer, SideRoute, WireRequest


def _acknowledge_metrics(_: WireRequest, __: bool) -> Answer:
    return Answer(200, b'{"success":true}')


def _key_in_path(request: WireRequest) -> str | None:
    return request.parameters["write_key"]


def _answer_settings(request: WireRequest, key_valid: bool) -> Answer:
    """Answer with settings that point the SDK to the host and scheme of this request."""
    if not key_valid:
        return Answer(404, b'{"code":"invalid_write_key","message":"unknown write key"}')
    host = request.headers.get(b"host", b"").decode("latin-1")
    scheme = request.headers.get(b"x-forwarded-proto", request.scheme.encode()).decode("latin-1")
    key = request.parameters["write_key"]
    return Answer(200, msgspec.json.encode(_project_settings(key, f"{host}/v1", scheme)))


def _project_settings(key: str, api: str, protocol: str) -> dict[str, Any]:
    """Minimal settings with which analytics-next 1.84 and its Customer.io fork start (observed)."""
    destination = {
        "apiKey": key,
        "apiHost": api,
        "protocol": protocol,
        "unbundledIntegrations": [],
        "addBundledMetadata": True,
    }
    everything = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {
            "Segment.io": destination,
            "Customer.io Data Pipelines": destination,
        },
        "plan": {"track": everything, "identify": everything, "group": everything},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0, "host": api},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


SIDE_ROUTES = (
    SideRoute(path="/v1/m", answer=_acknowledge_metrics),
    SideRoute(path="/v1/projects/{write_key}/settings", answer=_answer_settings, key=_key_in_path),
)
