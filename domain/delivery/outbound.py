"""Endpoints and subscriptions as definitions: what their owner configures, and its versions.

Their events are kept in a table, not in the ledger: a URL may contain a token, and the ledger keeps
everything for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from domain.core.naming import check_id
from domain.definitions.definition import Definition, DefinitionVersion, References
from domain.delivery.event_filter import SubscriptionDefinition
from domain.events.events import DefinedEvent, DefinitionEvent

_encode = msgspec.json.Encoder(order="deterministic").encode


class EndpointDefinition(msgspec.Struct, frozen=True):
    """The part of an endpoint that its owner configures."""

    url: str
    description: str = ""
    concurrency: int = 4
    """Maximum number of concurrent requests."""


decode_endpoint = msgspec.json.Decoder(EndpointDefinition).decode


def outbound_version(definition: EndpointDefinition | SubscriptionDefinition) -> DefinitionVersion:
    """Returns a version whose document is the definition; it has no name of its own."""
    return DefinitionVersion("", document=_encode(definition))


class EndpointDefined(DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An endpoint was created or replaced."""

    endpoint: str
    document: bytes


class EndpointDeleted(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An endpoint was deleted."""

    endpoint: str


class SubscriptionDefined(DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A subscription was created or replaced."""

    stream: str
    document: bytes


class SubscriptionDeleted(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A subscription was deleted."""

    stream: str


@dataclass(frozen=True)
class OutboundDefinition(Definition):
    """An endpoint or a subscription: its document is all that it has."""

    DOCUMENT: ClassVar[str] = "document"

    def check(self, _definition: DefinitionVersion, _references: References) -> None:
        """Raises InvalidRequest for an invalid id; the document is valid."""
        check_id(self.KIND, self.id, self.EXAMPLE_ID)


@dataclass(frozen=True)
class Endpoint(OutboundDefinition):
    """The definition of one endpoint, folded from its events; its secret and health are a row."""

    KIND: ClassVar[str] = "endpoint"
    KEY: ClassVar[str] = "endpoint"
    EXAMPLE_ID: ClassVar[str] = "crm"
    DEFINED: ClassVar[type[DefinedEvent]] = EndpointDefined
    ARCHIVED: ClassVar[type[DefinitionEvent]] = EndpointDeleted


@dataclass(frozen=True)
class Subscription(OutboundDefinition):
    """The definition of one subscription, folded from its events; its progress is a row."""

    KIND: ClassVar[str] = "subscription"
    KEY: ClassVar[str] = "stream"
    EXAMPLE_ID: ClassVar[str] = "warehouse"
    DEFINED: ClassVar[type[DefinedEvent]] = SubscriptionDefined
    ARCHIVED: ClassVar[type[DefinitionEvent]] = SubscriptionDeleted
