"""Endpoints of Segment's browser SDK besides events: project settings and SDK metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_SETTINGS_PATH = re.compile(r"/v1/projects/([^/]+)/settings/?")
_METRICS_PATHS = ("/v1/m", "/v1/m/")


def is_browser_path(path: str) -> bool:
    """True for a path that only browser SDKs request."""
    return path in _METRICS_PATHS or _SETTINGS_PATH.fullmatch(path) is not None


def write_key_in_path(path: str) -> str | None:
    """Return the write key in a project settings path, or None for another path."""
    match = _SETTINGS_PATH.fullmatch(path)
    return match[1] if match else None


def browser_response(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], *, key_known: bool
) -> tuple[int, bytes]:
    """Return status and body: the project settings, or an acknowledgement of SDK metrics.

    The settings point the SDK to the host and scheme of this request.
    """
    if scope["path"] in _METRICS_PATHS:
        return 200, b'{"success":true}'
    key = write_key_in_path(scope["path"])
    if not key_known or key is None:
        return 404, msgspec.json.encode(
            {"code": "invalid_write_key", "message": "unknown write key"}
        )
    host = headers.get(b"host", b"").decode("latin-1")
    scheme = headers.get(b"x-forwarded-proto", scope["scheme"].encode()).decode("latin-1")
    return 200, msgspec.json.encode(_project_settings(key, f"{host}/v1", scheme))


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
