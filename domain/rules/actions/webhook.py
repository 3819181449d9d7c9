"""Action `webhook`: a request to an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from domain.core.errors import InvalidRequest
from domain.rules.actions.action import RenderTemplates, RuleAction, WebhookRequest, check_name


class WebhookAction(RuleAction, frozen=True):
    """Sends a request to an endpoint; without `body` it describes the trigger and the profile."""

    KEY: ClassVar[str] = "webhook"
    EXAMPLES: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"endpoint": "crm"},
        {
            "endpoint": "crm",
            "body": {"text": "{{ customer.first_name }} bought for {{ event.total }}"},
            "headers": {"X-Campaign": "spring"},
        },
    )

    endpoint: str
    """The endpoint's id."""

    body: Any = msgspec.UNSET
    """A text is one template; in JSON, each text is a template."""

    headers: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("endpoint", self.endpoint)
        for name, value in self.headers.items():
            is_template = "{" in value  # its text is checked when it is rendered
            _check_header(name, "" if is_template else value)

    @property
    def endpoint_id(self) -> str:
        """The endpoint that it is sent to."""
        return self.endpoint

    def render(self, render_templates: RenderTemplates) -> WebhookRequest:
        """Returns the request.  Raises InvalidRequest for a header that no request can have."""
        texts, document = dict(self.headers), b""
        if isinstance(self.body, str):
            texts[""] = self.body
        elif self.body is not msgspec.UNSET:
            document = msgspec.json.encode(self.body)
        rendered, document = render_templates(texts, document)
        headers = dict(rendered)
        body = headers.pop("").encode() if isinstance(self.body, str) else document or None
        for name, value in headers.items():
            _check_header(name, value)
        return WebhookRequest(body, headers)


def _check_header(name: str, value: str) -> None:
    is_token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    if not (is_token and value.isascii() and value.isprintable()):
        raise InvalidRequest(
            f"invalid header {name[:100]!r}: names are ASCII letters, digits, - and _, values"
            " printable ASCII"
        )
