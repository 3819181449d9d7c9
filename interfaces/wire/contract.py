"""What a wire format declares: its routes, where its key is, its answers, CORS and limits.

A format owns everything that its clients can observe.  ``interfaces/http/ingest.py`` reads the request, bounds its
memory, authenticates the key and records the messages; it asks the format for all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from interfaces.wire.base import DEFAULT_LIMITS, FileRows, ParsedBody, WireLimits

Headers = tuple[tuple[bytes, bytes], ...]
"""Response headers; names are in lower case."""

JSON = b"application/json"


class WireRequest(NamedTuple):
    """One request, without its body."""

    method: str
    scheme: str
    parameters: Mapping[str, str]
    """Values of the route's path parameters.  They are decoded after routing: a ``%2F`` is part of a value.

    A value that is not UTF-8 has lone surrogates, which ``is_valid_identifier`` refuses.
    """

    query: bytes
    headers: Mapping[bytes, bytes]
    """Names are in lower case."""

    received_at: datetime
    limits: WireLimits
    default_id: Callable[[], str]
    """Makes the id of a message that has none."""


class Answer(NamedTuple):
    """A response.  CORS headers and Content-Length are added to it."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: bytes = JSON


class ProblemKind(Enum):
    """Why a whole request is refused."""

    METHOD = "the path does not allow the method"
    KEY = "no valid key that may write"
    BODY = "the body is too large, damaged or holds no messages"
    MESSAGE = "none of its messages is valid, and the format refuses such a request"
    UNAVAILABLE = "nothing was recorded, and the client should send the request again"


class Problem(NamedTuple):
    """Why a request is refused: ``code`` is stable, ``message`` says what to do."""

    kind: ProblemKind
    code: str
    message: str


class Recorded(Protocol):
    """What the ledger did with the messages of a request."""

    @property
    def position(self) -> int:
        """Last position of the ledger after them."""

    @property
    def recorded(self) -> int:
        """Number of messages recorded for the first time."""

    @property
    def duplicates(self) -> int:
        """Number of messages recorded before."""

    @property
    def rejected(self) -> int:
        """Number of rejections kept."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Success and error bodies, with their statuses."""

    success: Callable[[WireRequest, ParsedBody, Recorded], Answer]
    """Answers a request whose messages and rejections are durable.  It may be an error for the client all the same."""

    refuse: Callable[[Problem], Answer]
    """Answers a request that is refused.  ``Retry-After`` is added if the kind is UNAVAILABLE."""


@dataclass(frozen=True, kw_only=True)
class KeyPlace:
    """Where clients put their key."""

    in_request: Callable[[WireRequest], str | None]
    """Finds the key outside of the body: see ``interfaces.wire.keys``."""

    body_fields: tuple[bytes, ...] = ()
    """Names of fields that may hold the key in a body; the parser returns it as ``ParsedBody.write_key``.

    A body without any of these names is not parsed unless a key came outside of it.
    """

    hint: str
    """Instruction for clients: "send it as …"."""


@dataclass(frozen=True, kw_only=True)
class Cors:
    """Permissions for pages of other origins; each origin has them: a write key can only add."""

    methods: bytes
    headers: bytes
    """Request headers that pages may send."""

    expose: bytes = b"retry-after"
    credentials: bool = True
    """Whether pages may send cookies."""

    max_age_seconds: int = 86_400

    def response_headers(self, origin: bytes | None) -> Headers:
        """Return the headers of any answer; none without an origin."""
        if origin is None:
            return ()
        # Browsers refuse `*` with credentials.
        credentials = ((b"access-control-allow-credentials", b"true"),) if self.credentials else ()
        return (
            (b"access-control-allow-origin", origin),
            *credentials,
            (b"access-control-expose-headers", self.expose),
            (b"vary", b"origin"),
        )

    def preflight_headers(self) -> Headers:
        """Return the further headers of the answer to OPTIONS."""
        return (
            (b"access-control-allow-methods", self.methods),
            (b"access-control-allow-headers", self.headers),
            (b"access-control-max-age", str(self.max_age_seconds).encode()),
        )


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path to which clients send messages.

    ``path`` may have parameters, ``/customers/{customer}/events``, each a whole segment.  A slash at the end makes
    no difference.  The same path may have several routes with different methods.
    """

    path: str
    parse: Callable[[bytes, WireRequest], ParsedBody]
    """Parses a decompressed body.  Raises only InvalidBody."""

    methods: tuple[str, ...] = ("POST",)
    answers: Answers | None = None
    """Answers that differ from the format's."""

    limits: WireLimits | None = None
    """Limits that differ from the format's."""


@dataclass(frozen=True, kw_only=True)
class SideRoute:
    """A path that clients request besides sending messages, such as that of their settings.

    Any method is answered.
    """

    path: str
    answer: Callable[[WireRequest, bool], Answer]
    """Answers a request; the flag says whether the key of ``key`` may write."""

    key: Callable[[WireRequest], str | None] = lambda _: None


class ExampleRequest(NamedTuple):
    """A request that is accepted, for the documentation and for the test of all formats."""

    path: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    method: str = "POST"


@dataclass(frozen=True, kw_only=True)
class HttpDialect:
    """Everything about a format that its clients can observe over HTTP."""

    routes: tuple[Route, ...]
    side_routes: tuple[SideRoute, ...] = ()
    key: KeyPlace
    answers: Answers
    limits: WireLimits | None = DEFAULT_LIMITS
    """Published limits of the format; None for those of the settings."""

    cors: Cors | None = None
    """None: pages of other origins may not send."""

    tls: str = "Its clients accept plain http."
    """What its clients need of TLS."""

    example: Callable[[str], ExampleRequest]
    """Makes a request with this key that is accepted."""


@dataclass(frozen=True, kw_only=True)
class WireFormat:
    """One input format for events: of requests, of files, or both."""

    name: str
    """Also the name of the format's module."""

    summary: str
    http: HttpDialect | None = None
    """How clients send it, for formats that are sent."""

    read: Callable[..., FileRows] | None = None
    """Reads a file, for formats that can be imported."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that clients request, each once."""
        if self.http is None:
            return ()
        side_paths = (route.path for route in self.http.side_routes)
        return tuple(dict.fromkeys((*(route.path for route in self.http.routes), *side_paths)))
