"""Segment's HTTP API, which Customer.io Data Pipelines and RudderStack use too.

What was accepted is answered with 200 and `{"success": true, "position": …}`; the position is for `min_position` of a query. A lone message
that is not accepted is answered with 400. A batch is answered with 200 and lists what was not accepted in `rejected`; with the header
`X-Strict-Mode: 1` a batch without a single good message is a 400. The key may also be a Bearer token, or `writeKey` in the query.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from domain.events.message import MessageKind
from interfaces.wire import keys
from interfaces.wire.base import ParsedBody
from interfaces.wire.contract import (
    ExampleRequest,
    HttpDialect,
    KeyPlace,
    Route,
    WireFormat,
    WireRequest,
)
from interfaces.wire.segment.answers import ANSWERS, CORS
from interfaces.wire.segment.bodies import parse_batch, parse_single
from interfaces.wire.segment.browser import SIDE_ROUTES
from interfaces.wire.segment.messages import KINDS

BATCH_PATHS = ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")


def _key_of(request: WireRequest) -> str | None:
    """Return the key of ``Basic key:``, ``Basic key``, ``Bearer key`` or ``?writeKey=key``.

    A browser beacon can send neither headers nor credentials, hence the query.
    """
    basic = keys.basic_credentials(request)
    return (
        (basic and basic[0])
        or keys.authorization(request, "bearer")
        or keys.query_parameter(request, "writeKey")
    )


def _read_batch(body: bytes, request: WireRequest) -> ParsedBody:
    return parse_batch(
        body,
        received_at=request.received_at,
        limits=request.limits,
        default_id=request.default_id,
    )


def _read_single(kind: MessageKind) -> Callable[[bytes, WireRequest], ParsedBody]:
    def read(body: bytes, request: WireRequest) -> ParsedBody:
        return parse_single(
            body,
            kind,
            received_at=request.received_at,
            limits=request.limits,
            default_id=request.default_id,
        )

    return read


def _example(key: str) -> ExampleRequest:
    return ExampleRequest(
        path="/v1/track",
        body=b'{"userId":"u-1","event":"Order Completed","properties":{"total":40.5}}',
        headers={"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"},
    )


FORMAT = WireFormat(
    name="segment",
    summary="Segment's HTTP tracking API; also Customer.io Data Pipelines and RudderStack",
    http=HttpDialect(
        routes=(
            *(
                Route(path=f"/v1/{path}", parse=_read_single(kind))
                for kind in KINDS.values()
                for path in (kind, kind[0])
            ),
            *(Route(path=path, parse=_read_batch) for path in BATCH_PATHS),
        ),
        side_routes=SIDE_ROUTES,
        key=KeyPlace(
            in_request=_key_of,
            body_fields=(b"writeKey",),
            hint="send it as the HTTP Basic user name or as writeKey in the body",
        ),
        answers=ANSWERS,
        limits=None,  # those of the settings: their defaults are Segment's, and RudderStack sends larger bodies
        cors=CORS,
        tls="Its clients accept plain http; a page that was loaded by https can only send by https.",
        example=_example,
    ),
)
